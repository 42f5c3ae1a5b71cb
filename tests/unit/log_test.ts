import assert from "node:assert/strict";
import { formatLine, type LogFields } from "../../lib/log.ts";

const TIME = new Date("2026-11-28T05:33:10.123Z");

const CASES: [message: string, fields: LogFields, text: string, json: string][] = [
  ["a step", {}, `level=debug msg="a step"`, `{"level":"debug","msg":"a step","time":"T"}`],
  [
    "launch step 12 mknod char /dev/kvm",
    { ms: 0.08, id: "web" },
    `level=debug msg="launch step 12 mknod char /dev/kvm" ms=0.08 id=web`,
    `{"level":"debug","msg":"launch step 12 mknod char /dev/kvm","time":"T","ms":0.08,"id":"web"}`,
  ],
  [
    "a hook",
    { exit: 0, signal: undefined, timedOut: false },
    `level=debug msg="a hook" exit=0 timedOut=false`,
    `{"level":"debug","msg":"a hook","time":"T","exit":0,"timedOut":false}`,
  ],
  [
    'two\nlines "quoted"',
    { path: "/a b", none: "", list: "1,2" },
    `level=debug msg="two\\nlines \\"quoted\\"" path="/a b" none="" list="1,2"`,
    `{"level":"debug","msg":"two\\nlines \\"quoted\\"","time":"T","path":"/a b","none":"","list":"1,2"}`,
  ],
];

for (const [message, fields, text, json] of CASES) {
  Deno.test(`a log line of ${JSON.stringify(message)}`, () => {
    const stamp = "2026-11-28T05:33:10Z";
    assert.equal(formatLine("text", "debug", message, TIME, fields), `time="${stamp}" ${text}\n`);
    const expected = json.replace('"T"', `"${stamp}"`) + "\n";
    assert.equal(formatLine("json", "debug", message, TIME, fields), expected);
  });
}
