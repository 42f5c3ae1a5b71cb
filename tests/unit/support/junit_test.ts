import assert from "node:assert/strict";
import { parseJunit } from "../../support/junit.ts";

const report = (...cases: string[]) =>
  `<?xml version="1.0"?>\n<testsuites name="deno test" tests="3">\n<testsuite name="a_test.ts">` +
  `${cases.join("\n")}</testsuite>\n</testsuites>\n`;

Deno.test("outcomes, reasons and escaped names", () => {
  const text = report(
    `<testcase name="a &lt;b&gt; &amp; &quot;c&quot; &#xE9;" classname="./a_test.ts" time="0.1" line="3" col="6"/>`,
    `<testcase name="bad" classname="./a_test.ts" time="0"><failure message="x &lt;skipped/&gt;">` +
      `at &lt;testcase name="no"/&gt; <![CDATA[<testcase name="no"/>]]></failure></testcase>`,
    `<testcase name="boots ~ skipped: needs /dev/kvm" classname="./a_test.ts"><skipped/></testcase>`,
    `<testcase name="off" classname="./a_test.ts"><skipped /></testcase>`,
  );
  assert.deepEqual(parseJunit(text), [
    { name: 'a <b> & "c" é', file: "./a_test.ts", outcome: "passed" },
    { name: "bad", file: "./a_test.ts", outcome: "failed" },
    { name: "boots", file: "./a_test.ts", outcome: "skipped", reason: "needs /dev/kvm" },
    { name: "off", file: "./a_test.ts", outcome: "skipped", reason: "its file does not say why" },
  ]);
});

Deno.test("what passed only in another node is marked, and has its own name", () => {
  const text = report(
    `<testcase name="node &gt; boots ~ passed only in another node" classname="./a_test.ts"/>`,
    `<testcase name="node &gt; idles" classname="./a_test.ts"/>`,
  );
  assert.deepEqual(parseJunit(text), [
    { name: "node > boots", file: "./a_test.ts", outcome: "passed", anotherNode: true },
    { name: "node > idles", file: "./a_test.ts", outcome: "passed" },
  ]);
});

Deno.test("half a report is an error, none of its tests count", () => {
  const text = report(`<testcase name="a" classname="b"/>`);
  for (const cut of [0, 50, text.length - 15]) {
    assert.throws(() => parseJunit(text.slice(0, cut)), /not complete/);
  }
});

Deno.test("an empty report is a report", () => {
  assert.deepEqual(parseJunit(`<testsuites name="deno test" tests="0"/>`), []);
});
