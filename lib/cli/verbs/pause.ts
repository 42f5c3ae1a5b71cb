import { pauseContainer } from "../../container/pause.ts";
import type { CommandOf } from "../parser/commands.ts";
import type { Context } from "../context.ts";

/** `urunc pause` */
export async function pause(command: CommandOf<"pause">, context: Context): Promise<number> {
  await pauseContainer(context.store, command.id);
  return 0;
}
