import { startContainer } from "../../container/start.ts";
import type { CommandOf } from "../parser/commands.ts";
import type { Context } from "../context.ts";

/** `urunc start` */
export async function start(command: CommandOf<"start">, context: Context): Promise<number> {
  const { warnings } = await startContainer(context.store, command.id);
  warnings.forEach((warning) => context.log.warning(warning));
  return 0;
}
