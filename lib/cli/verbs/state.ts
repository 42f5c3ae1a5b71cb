import { observeContainer } from "../../container/observe.ts";
import { withoutState } from "../../container/require.ts";
import { ociState } from "../../container/state.ts";
import type { CommandOf } from "../parser/commands.ts";
import type { Context } from "../context.ts";
import { printJson } from "../../output.ts";

/** `urunc state` */
export function printState(command: CommandOf<"state">, context: Context): number {
  const directory = context.store.open(command.id);
  const observation = observeContainer(directory);
  if (observation === undefined) throw withoutState(directory);
  const { state, status } = observation;
  // The specification's properties, and those that runc adds.
  const { rootfs, created } = state;
  printJson({ ...ociState(state, status), rootfs, created });
  return 0;
}
