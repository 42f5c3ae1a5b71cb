import { startContainer } from "../../container/start.ts";
import { processAge, Stopwatch } from "../../container/timeline.ts";
import type { CommandOf } from "../parser/commands.ts";
import type { Context } from "../context.ts";

/** `urunc start` */
export async function start(command: CommandOf<"start">, context: Context): Promise<number> {
  const stopwatch = new Stopwatch("start", command.id, processAge());
  const { warnings } = await startContainer(context.store, command.id, undefined, stopwatch);
  warnings.forEach((warning) => context.log.warning(warning));
  return 0;
}
