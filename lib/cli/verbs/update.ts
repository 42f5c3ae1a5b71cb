import { updateContainer } from "../../container/update.ts";
import { UsageError } from "../../errors.ts";
import { readGiven, STANDARD_INPUT } from "../../os/files.ts";
import { parseUpdate, readUpdate } from "../../oci/parse_resources.ts";
import type { CommandOf } from "../parser/commands.ts";
import type { Context } from "../context.ts";
import { resourcesOf } from "../update_resources.ts";

/** Limits take a few hundred bytes. */
const MAXIMUM_BYTES = 1024 * 1024;

/** `urunc update` */
export async function update(command: CommandOf<"update">, context: Context): Promise<number> {
  const given = resourcesOf(command);
  const { resources } = command;
  if (resources !== undefined && Object.keys(given).length > 0) {
    throw new UsageError({
      operation: "parse command line",
      subject: "--resources",
      reason: "limits are given as options, too",
      remedy: "give either",
    });
  }
  const limits = resources === undefined
    ? readUpdate(given)
    // Standard input is for callers that have no file: containerd's shim for runc.
    : readLimits(resources === "-" ? STANDARD_INPUT : resources);
  await updateContainer(
    context.store,
    command.id,
    limits,
    (warning) => context.log.warning(warning),
  );
  return 0;
}

function readLimits(path: string) {
  return parseUpdate(readGiven(path, MAXIMUM_BYTES, { operation: "read resources" }), path);
}
