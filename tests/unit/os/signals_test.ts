import assert from "node:assert/strict";
import { fateOf, type SignalFate, signalFate } from "../../../lib/os/signals.ts";

const SIGTERM = 15;
const NONE = "0".repeat(16);
/** Signals 1, 2 and 15, as QEMU handles them. */
const QEMU = "0000000000004003";

function status(nsPids: string, masks: Partial<Record<"SigBlk" | "SigIgn" | "SigCgt", string>>) {
  const { SigBlk = NONE, SigIgn = NONE, SigCgt = NONE } = masks;
  return `Name:\tx\nNSpid:\t${nsPids}\nShdPnd:\t${NONE}\n` +
    `SigBlk:\t${SigBlk}\nSigIgn:\t${SigIgn}\nSigCgt:\t${SigCgt}\n`;
}

const cases: [what: string, text: string, fate: SignalFate][] = [
  ["PID 1 of a namespace that has only begun", status("712\t1", {}), "dropped"],
  ["PID 1 in two namespaces below", status("712\t5\t1", {}), "dropped"],
  ["another process, which the signal ends", status("712", {}), "decided"],
  ["PID 2 of a namespace", status("712\t2", {}), "decided"],
  ["PID 1 with a handler", status("712\t1", { SigCgt: QEMU }), "decided"],
  ["PID 1 that ignores it", status("712\t1", { SigIgn: QEMU }), "decided"],
  ["PID 1 that blocks it", status("712\t1", { SigBlk: QEMU }), "blocked"],
  [
    "PID 1 that blocks it and has a handler",
    status("712\t1", { SigBlk: QEMU, SigCgt: QEMU }),
    "decided",
  ],
  ["PID 1 with a handler for others", status("712\t1", { SigCgt: "0000000000000003" }), "dropped"],
  ["a text that does not tell", "NSpid:\t712\t1\n", "decided"],
];

for (const [what, text, fate] of cases) {
  Deno.test(`SIGTERM to ${what} is ${fate}`, () => {
    assert.equal(fateOf(text, SIGTERM), fate);
  });
}

Deno.test("a signal to a missing process counts as decided", () => {
  assert.equal(signalFate(0x7ffffffe, SIGTERM), "decided");
});
