import { InvalidConfigurationError } from "../errors.ts";
import { readBounded } from "../os/files.ts";
import { STATIC_NETWORK } from "../network/static.ts";
import { containerName } from "../oci/annotations.ts";
import { MAXIMUM_CONFIG_BYTES, QUEUE_PROXY } from "./kind.ts";

/** Where a `queue-proxy` made for urunc sends requests; USER_PORT, which it has anyway, is the port. */
const VARIABLE = "REDIRECT_IP";

/**
 * Gives Knative's queue-proxy the address of its pod's guest: not the pod's own address, where it would
 * look. Does nothing to other containers, or when it has the address already.
 *
 * @param bundle whose config.json is replaced, before an OCI runtime reads it
 * @throws HostError, InvalidConfigurationError when config.json cannot be read; LinuxError
 * @see https://github.com/urunc-dev/urunc/blob/main/pkg/unikontainers/utils.go, handleQueueProxy
 */
export function redirectQueueProxy(bundle: string, annotations: Record<string, string>): void {
  if (containerName(annotations) !== QUEUE_PROXY) return;
  const path = `${bundle}/config.json`;
  const bytes = readBounded(path, MAXIMUM_CONFIG_BYTES, { operation: "read bundle" });
  const changed = withRedirect(new TextDecoder().decode(bytes), path);
  if (changed === undefined) return;
  // A reader finds the old or the new file.
  const temporary = `${path}.${Deno.pid}`;
  Deno.writeTextFileSync(temporary, changed, { mode: Deno.statSync(path).mode! & 0o777 });
  Deno.renameSync(temporary, path);
}

/**
 * The text of config.json with the guest's address in the environment; undefined: it is there.
 *
 * @param path for errors
 * @throws InvalidConfigurationError
 */
export function withRedirect(text: string, path: string): string | undefined {
  const invalid = (reason: string) =>
    new InvalidConfigurationError({
      operation: "set queue-proxy's guest address",
      subject: path,
      reason,
    });
  let config;
  try {
    config = JSON.parse(text, keepNumber);
  } catch {
    // The parser calls itself for each level, when it calls a function for each value.
    throw invalid("it is not JSON, or nested too deeply");
  }
  const process = config?.process;
  const env: unknown = process?.env ?? [];
  // A number that was kept as it was read is a frozen object.
  const isObject = typeof process === "object" && process !== null && !Array.isArray(process) &&
    !Object.isFrozen(process);
  if (!isObject || !Array.isArray(env)) throw invalid("process.env is not a list");
  if (env.some((entry) => typeof entry === "string" && entry.startsWith(`${VARIABLE}=`))) {
    return undefined;
  }
  process.env = [...env, `${VARIABLE}=${STATIC_NETWORK.guest}`];
  return JSON.stringify(config);
}

/** Limits are numbers of 64 bits, of which JavaScript's have 53: such are written as they were read. */
function keepNumber(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };
  return context?.source === undefined ? value : rawJSON(context.source);
}
