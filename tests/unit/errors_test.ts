import assert from "node:assert/strict";
import { errorMessage, formatError, HostError } from "../../lib/errors.ts";

Deno.test("an error is one line that steers no terminal, whatever an image says", () => {
  const cases: [reason: string, line: string][] = [
    ["a\nlevel=info", "do: a\\x0alevel=info"],
    ["\x1b]0;title\x07", "do: \\x1b]0;title\\x07"],
    // The control characters of ISO 6429 in one piece: CSI and the like.
    ["\x9b2J\x7f\x85", "do: \\x9b2J\\x7f\\x85"],
    // What turns the direction, and shows `gnp.exe` as `exe.png`.
    ["\u202egnp.exe\u2066\u061c", "do: \\u202egnp.exe\\u2066\\u061c"],
    ["é ☃", "do: é ☃"],
  ];
  for (const [reason, line] of cases) {
    assert.equal(formatError(new HostError({ operation: "do", reason })), line);
  }
});

Deno.test("an error is bounded, however long its parts are; an empty subject can be seen", () => {
  const long = "x".repeat(2 ** 20);
  const { message } = new HostError({ operation: "do", subject: long, reason: long, remedy: long });
  assert.ok(message.length < 12_100, `${message.length}`);
  assert.match(message, /^do x+…: x+… \(x+…\)$/);
  assert.equal(new HostError({ operation: "do", subject: "", reason: "no" }).message, 'do "": no');
});

Deno.test("errorMessage: an error's message, or its name when that is empty", () => {
  assert.equal(errorMessage(new TypeError("no")), "no");
  assert.equal(errorMessage(new TypeError()), "TypeError");
  assert.equal(errorMessage("thrown text"), "thrown text");
  assert.equal(errorMessage(undefined), "undefined");
});
