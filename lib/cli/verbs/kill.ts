import { killContainer, parseSignal } from "../../container/kill.ts";
import type { CommandOf } from "../commands.ts";
import type { Context } from "../context.ts";

/** `urunc kill` */
export function kill(command: CommandOf<"kill">, context: Context): number {
  const signal = parseSignal(command.signal);
  killContainer(context.store, command.id, signal, command.all);
  return 0;
}
