import { updateContainer } from "../../container/update.ts";
import { InvalidConfigurationError, UsageError } from "../../errors.ts";
import { readBounded } from "../../os/files.ts";
import { parseUpdate, readUpdate } from "../../oci/parse_resources.ts";
import type { CommandOf } from "../parser/commands.ts";
import type { Context } from "../context.ts";
import { resourcesOf } from "../update_resources.ts";

/** Limits take a few hundred bytes. */
const MAXIMUM_BYTES = 1024 * 1024;

const STANDARD_INPUT = "standard input";

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
    : parseUpdate(readInput(resources), resources === "-" ? STANDARD_INPUT : resources);
  await updateContainer(
    context.store,
    command.id,
    limits,
    (warning) => context.log.warning(warning),
  );
  return 0;
}

/** Standard input is for callers that have no file: containerd's shim for runc. */
function readInput(path: string): Uint8Array {
  if (path !== "-" && path !== "/dev/stdin") {
    return readBounded(path, MAXIMUM_BYTES, { operation: "read resources" });
  }
  const bytes = new Uint8Array(MAXIMUM_BYTES);
  let length = 0;
  for (;;) {
    const count = Deno.stdin.readSync(bytes.subarray(length));
    if (count === null) return bytes.subarray(0, length);
    length += count;
    if (length < bytes.length) continue;
    throw new InvalidConfigurationError({
      operation: "read resources",
      subject: STANDARD_INPUT,
      reason: `it has ${length} bytes or more`,
    });
  }
}
