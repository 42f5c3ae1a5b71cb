import { pauseContainer } from "../../container/pause.ts";
import type { CommandOf } from "../commands.ts";
import type { Context } from "../context.ts";

/** `urunc pause` */
export function pause(command: CommandOf<"pause">, context: Context): number {
  pauseContainer(context.store, command.id);
  return 0;
}
