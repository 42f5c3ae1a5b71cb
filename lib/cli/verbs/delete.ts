import { deleteContainer } from "../../container/delete.ts";
import type { CommandOf } from "../parser/commands.ts";
import type { Context } from "../context.ts";

/** `urunc delete` */
export async function remove(command: CommandOf<"delete">, context: Context): Promise<number> {
  const warnings = await deleteContainer(context.store, command.id, command.force);
  warnings.forEach((warning) => context.log.warning(warning));
  return 0;
}
