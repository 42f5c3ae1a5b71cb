import { resumeContainer } from "../../container/pause.ts";
import type { CommandOf } from "../parser/commands.ts";
import type { Context } from "../context.ts";

/** `urunc resume` */
export async function resume(command: CommandOf<"resume">, context: Context): Promise<number> {
  await resumeContainer(context.store, command.id);
  return 0;
}
