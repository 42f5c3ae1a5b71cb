import assert from "node:assert/strict";
import { constants } from "node:os";
import {
  effectOf,
  parseSignal,
  SIGKILL,
  type SignalEffect,
  SIGTERM,
  STOP_SIGNAL_ANNOTATION,
} from "../../../lib/monitor/signals.ts";

Deno.test("signals have the kernel's names and numbers", () => {
  for (const [name, number] of Object.entries(constants.signals)) {
    // An old name of SIGSYS, which the C library no longer has.
    if (name === "SIGUNUSED") continue;
    for (const text of [name, name.slice(3), name.toLowerCase(), String(number)]) {
      assert.equal(parseSignal(text), number, text);
    }
  }
  assert.deepEqual([SIGKILL, SIGTERM], [constants.signals.SIGKILL, constants.signals.SIGTERM]);
});

const others: [text: string, number: number][] = [
  ["0", 0],
  ["64", 64],
  ["SIGRTMIN", 34],
  ["RTMIN+3", 37],
  ["sigrtmin+3", 37],
  ["SIGRTMAX", 64],
  ["SIGRTMAX-14", 50],
  ["RTMAX-30", 34],
  ["SIGIOT", 6],
  ["POLL", 29],
];

for (const [text, number] of others) {
  Deno.test(`signal ${text} is ${number}`, () => assert.equal(parseSignal(text), number));
}

const none = [
  ...["", "SIG", "SIGNO", "65", "-1", "1.5", "0x9", "TERM ", "SIGSIGTERM", "RTMIN-1", "RTMIN+31"],
  ...["RTMAX+1", "RTMAX-31", "RTMIN+", "RTM", "constructor", "SIG__proto__", "9".repeat(400)],
];

for (const text of none) {
  Deno.test(`there is no signal ${JSON.stringify(text.slice(0, 20))}`, () => {
    assert.throws(() => parseSignal(text), { name: "UsageError", message: /no such signal/ });
  });
}

const effects: Record<SignalEffect, string[]> = {
  stop: [
    ...["TERM", "INT", "QUIT", "HUP", "PWR", "RTMIN", "RTMIN+3", "RTMAX", "USR1", "USR2", "ABRT"],
    ...["PIPE", "ALRM", "SEGV", "32"],
  ],
  end: ["KILL"],
  pause: ["STOP", "TSTP", "TTIN", "TTOU"],
  resume: ["CONT"],
  test: ["0"],
  nothing: ["CHLD", "URG", "WINCH"],
};

for (const [effect, names] of Object.entries(effects)) {
  for (const name of names) {
    Deno.test(`signal ${name} means ${effect}`, () => {
      assert.equal(effectOf(parseSignal(name)), effect);
    });
  }
}

const stopSignals: [annotation: string, signal: string, effect: SignalEffect][] = [
  ["SIGWINCH", "WINCH", "stop"],
  ["28", "WINCH", "stop"],
  ["SIGUSR1", "WINCH", "nothing"],
  ["no signal", "WINCH", "nothing"],
  // What it says of these cannot be taken for a stop: a caller could not get rid of the guest, ask
  // whether it is there, or let it go on.
  ["SIGKILL", "KILL", "end"],
  ["SIGCONT", "CONT", "resume"],
  ["0", "0", "test"],
];

for (const [annotation, signal, effect] of stopSignals) {
  Deno.test(`the image's stop signal ${annotation}: ${signal} means ${effect}`, () => {
    const annotations = { [STOP_SIGNAL_ANNOTATION]: annotation };
    assert.equal(effectOf(parseSignal(signal), annotations), effect);
  });
}
