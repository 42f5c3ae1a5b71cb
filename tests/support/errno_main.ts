/**
 * The program with a switch that the shipped one does not have: a chosen step fails after it was done, so
 * that a test can see whether it is undone. It is another entry, so the shipped bundle has not a byte
 * of it.
 *
 * `URUNC_ERRNO=PHASE:INDEX:ERRNO` in the creator's environment chooses the step, and the error.
 */
import { errnos } from "../../ffi/constants/errno.ts";
import { LinuxError } from "../../ffi/linux.ts";
import { runMain } from "../../lib/entry.ts";
import type { ObservedPhase, Observer } from "../../lib/launch/observer.ts";
import { INJECTED } from "./errno.ts";

const INIT_ARGUMENT = "--errno=";

const chosen = Deno.args[0] === "init"
  ? Deno.args.find((arg) => arg.startsWith(INIT_ARGUMENT))?.slice(INIT_ARGUMENT.length)
  : Deno.env.get("URUNC_ERRNO");
const [, step, code = ""] = /^(.*):(E[A-Z]+)$/.exec(chosen ?? "") ?? [];

const observer: Observer = {
  afterStep(phase: ObservedPhase, index: number, name: string) {
    if (`${phase}:${index}` === step) throw new LinuxError(INJECTED, name, errnos[code]!);
  },
  initArguments() {
    return chosen === undefined ? [] : [`${INIT_ARGUMENT}${chosen}`];
  },
};

runMain(Deno.args, observer).then(Deno.exit);
