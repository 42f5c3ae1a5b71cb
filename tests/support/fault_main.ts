/**
 * The program with a switch that the shipped one does not have: it pauses after a chosen step, so
 * that a test can kill a process exactly there. It is another entry, so the shipped bundle has not a
 * byte of it.
 *
 * `URUNC_FAULT=PHASE:INDEX` in the creator's environment chooses the step. Reaching it, the process
 * writes {@linkcode FAULT_MARK} to standard output, pauses, and goes on if it still can.
 */
import { runMain } from "../../lib/entry.ts";
import type { ObservedPhase, Observer } from "../../lib/launch/observer.ts";
import { FAULT_MARK, FAULT_PAUSE_MILLISECONDS } from "./fault.ts";

const INIT_ARGUMENT = "--fault=";

const fault = Deno.args[0] === "init"
  ? Deno.args.find((arg) => arg.startsWith(INIT_ARGUMENT))?.slice(INIT_ARGUMENT.length)
  : Deno.env.get("URUNC_FAULT");

const observer: Observer = {
  afterStep(phase: ObservedPhase, index: number) {
    if (`${phase}:${index}` !== fault) return;
    Deno.stdout.writeSync(new TextEncoder().encode(FAULT_MARK));
    // Blocks the thread, as a process that is killed in the middle of something would be.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FAULT_PAUSE_MILLISECONDS);
  },
  initArguments() {
    return fault === undefined ? [] : [`${INIT_ARGUMENT}${fault}`];
  },
};

runMain(Deno.args, observer).then(Deno.exit);
