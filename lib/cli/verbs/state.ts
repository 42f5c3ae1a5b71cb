import { requireState } from "../../container/require.ts";
import { ociState } from "../../container/state.ts";
import { containerStatus } from "../../container/pause.ts";
import type { CommandOf } from "../commands.ts";
import type { Context } from "../context.ts";
import { printJson } from "../output.ts";

/** `urunc state` */
export function state(command: CommandOf<"state">, context: Context): number {
  const container = requireState(context.store.open(command.id));
  printJson(ociState(container, containerStatus(container)));
  return 0;
}
