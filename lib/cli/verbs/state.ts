import { observeContainer } from "../../container/observe.ts";
import { interrupted } from "../../container/require.ts";
import { ociState } from "../../container/state.ts";
import type { CommandOf } from "../commands.ts";
import type { Context } from "../context.ts";
import { printJson } from "../output.ts";

/** `urunc state` */
export function state(command: CommandOf<"state">, context: Context): number {
  const observation = observeContainer(context.store.open(command.id));
  if (observation === undefined) throw interrupted(command.id);
  printJson(ociState(observation.state, observation.status));
  return 0;
}
