import assert from "node:assert/strict";
import { formatLine } from "../../lib/log.ts";
import { formatJson } from "../../lib/printable.ts";

const HOSTILE = "\x1b[2J\x7f\x9b2J\u202e\u2069\u061c é ☃ \ud83d\ude00\n";

/** All that a terminal could obey, newlines apart. */
function steering(text: string): string[] {
  return text.match(/[\p{Cc}\p{Bidi_Control}]/gu)?.filter((it) => it !== "\n") ?? [];
}

Deno.test("JSON for a terminal has the same value, and no character that steers it", () => {
  const value = { [HOSTILE]: [HOSTILE, 1, null, { a: "plain" }] };
  for (const space of [undefined, 2]) {
    const text = formatJson(value, space);
    assert.deepEqual(steering(text), []);
    assert.deepEqual(JSON.parse(text), value);
    assert.ok(text.includes("\\u007f\\u009b2J\\u202e\\u2069\\u061c é ☃ \ud83d\ude00\\n"), text);
  }
  assert.equal(formatJson({ a: [1] }, 2), JSON.stringify({ a: [1] }, null, 2));
});

Deno.test("a line of the log steers no terminal either", () => {
  for (const format of ["text", "json"] as const) {
    const line = formatLine(format, "warning", HOSTILE, new Date(0), { path: HOSTILE });
    assert.deepEqual(steering(line), []);
    assert.equal(line.split("\n").length, 2);
  }
});
