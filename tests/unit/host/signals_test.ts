import assert from "node:assert/strict";
import { dropsSignal, processDropsSignal } from "../../../lib/host/signals.ts";

const SIGTERM = 15;
const NONE = "0".repeat(16);
/** Signals 1, 2 and 15, as QEMU handles them. */
const QEMU = "0000000000004003";

function status(nsPids: string, masks: Partial<Record<"SigBlk" | "SigIgn" | "SigCgt", string>>) {
  const { SigBlk = NONE, SigIgn = NONE, SigCgt = NONE } = masks;
  return `Name:\tx\nNSpid:\t${nsPids}\nShdPnd:\t${NONE}\n` +
    `SigBlk:\t${SigBlk}\nSigIgn:\t${SigIgn}\nSigCgt:\t${SigCgt}\n`;
}

const cases: [what: string, text: string, drops: boolean][] = [
  ["PID 1 of a namespace that has only begun", status("712\t1", {}), true],
  ["PID 1 in two namespaces below", status("712\t5\t1", {}), true],
  ["another process, which the signal ends", status("712", {}), false],
  ["PID 2 of a namespace", status("712\t2", {}), false],
  ["PID 1 with a handler", status("712\t1", { SigCgt: QEMU }), false],
  ["PID 1 that ignores it", status("712\t1", { SigIgn: QEMU }), false],
  ["PID 1 that blocks it", status("712\t1", { SigBlk: QEMU }), false],
  ["PID 1 with a handler for others", status("712\t1", { SigCgt: "0000000000000003" }), true],
  ["a text that does not tell", "NSpid:\t712\t1\n", false],
];

for (const [what, text, drops] of cases) {
  Deno.test(`SIGTERM to ${what} is ${drops ? "" : "not "}dropped`, () => {
    assert.equal(dropsSignal(text, SIGTERM), drops);
  });
}

Deno.test("a process that is not there drops nothing", () => {
  assert.equal(processDropsSignal(0x7ffffffe, SIGTERM), false);
});
