import { updateContainer } from "../../container/update.ts";
import { errorMessage, InvalidConfigurationError, UsageError } from "../../errors.ts";
import { readBounded } from "../../os/files.ts";
import { readResources } from "../../oci/parse_resources.ts";
import { Fields } from "../../decode/decode.ts";
import type { Resources } from "../../oci/types.ts";
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
  const json = resources === undefined ? given : parseJson(readInput(resources), resources);
  await updateContainer(context.store, command.id, parseResources(json));
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
    if (length === bytes.length) throw unreadable("-", `it has ${length} bytes or more`);
  }
}

function parseJson(bytes: Uint8Array, path: string): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw unreadable(path, `it is not JSON: ${errorMessage(error)}`);
  }
}

/** The reader's errors are worded for config.json. */
function parseResources(json: unknown): Resources {
  try {
    return readResources(new Fields(json, ""));
  } catch (error) {
    if (!(error instanceof InvalidConfigurationError)) throw error;
    throw new InvalidConfigurationError({ ...error.parts, operation: "read resources" });
  }
}

function unreadable(path: string, reason: string): InvalidConfigurationError {
  return new InvalidConfigurationError({
    operation: "read resources",
    subject: path === "-" ? "standard input" : path,
    reason,
    remedy: "it must be an object as linux.resources of config.json",
  });
}
