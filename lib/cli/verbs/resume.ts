import { resumeContainer } from "../../container/pause.ts";
import type { CommandOf } from "../commands.ts";
import type { Context } from "../context.ts";

/** `urunc resume` */
export function resume(command: CommandOf<"resume">, context: Context): number {
  resumeContainer(context.store, command.id);
  return 0;
}
