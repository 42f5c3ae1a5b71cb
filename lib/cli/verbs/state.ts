import { observeContainer } from "../../container/observe.ts";
import { withoutState } from "../../container/require.ts";
import { ociState } from "../../container/state.ts";
import type { CommandOf } from "../commands.ts";
import type { Context } from "../context.ts";
import { printJson } from "../output.ts";

/** `urunc state` */
export function state(command: CommandOf<"state">, context: Context): number {
  const directory = context.store.open(command.id);
  const observation = observeContainer(directory);
  if (observation === undefined) throw withoutState(directory);
  printJson(ociState(observation.state, observation.status));
  return 0;
}
