import { killContainer } from "../../container/kill.ts";
import { parseSignal } from "../../monitor/signals.ts";
import type { CommandOf } from "../parser/commands.ts";
import type { Context } from "../context.ts";

/** `urunc kill` */
export async function kill(command: CommandOf<"kill">, context: Context): Promise<number> {
  const { id, all } = command;
  await killContainer(context.store, id, parseSignal(command.signal), { all });
  return 0;
}
