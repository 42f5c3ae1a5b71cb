import { errorMessage, InvalidConfigurationError } from "../../errors.ts";
import type { Any } from "../../protocol/containerd/messages.ts";
import { RuncOptions, RuntimeOptions, unpackAny } from "../../protocol/containerd/messages.ts";

/** A runtime's options in the configuration of containerd or docker, or of a single request. */
export interface TaskOptions {
  /** State directory, to which the namespace is added. */
  root?: string;
  /** OCI runtime for containers that are not guests: a name or path. */
  runtime?: string;
  systemdCgroup: boolean;
  noNewKeyring: boolean;
  noPivotRoot: boolean;
  /** The operator's configuration of this program. */
  configurationPath?: string;
  /** Where the shim belongs; only meant for `start`. */
  shimCgroup?: string;
}

/**
 * Reads a runtime's options: those of runc's shim, or the generic ones, whose body is TOML with the same
 * names as runc's in containerd's configuration.
 *
 * @param any undefined: none
 * @throws InvalidConfigurationError for options of another type, or a key that there is not;
 *   MalformedMessageError
 */
export async function decodeOptions(any: Any | undefined): Promise<TaskOptions> {
  if (any === undefined || any.typeUrl === "") return NO_OPTIONS;
  const runc = unpackAny(RuncOptions, any);
  if (runc !== undefined) {
    return {
      root: runc.root || undefined,
      runtime: runc.binaryName || undefined,
      systemdCgroup: runc.systemdCgroup,
      noNewKeyring: runc.noNewKeyring,
      noPivotRoot: runc.noPivotRoot,
      shimCgroup: runc.shimCgroup || undefined,
    };
  }
  const generic = unpackAny(RuntimeOptions, any);
  if (generic === undefined) {
    throw new InvalidConfigurationError({
      operation: "read the runtime's options",
      subject: any.typeUrl,
      reason: `found that type, allowed: ${RuncOptions.name} or ${RuntimeOptions.name}`,
    });
  }
  const body = generic.configBody.length === 0
    ? NO_OPTIONS
    : await parseBody(new TextDecoder().decode(generic.configBody));
  return { ...body, configurationPath: generic.configPath || body.configurationPath };
}

const NO_OPTIONS: TaskOptions = {
  systemdCgroup: false,
  noNewKeyring: false,
  noPivotRoot: false,
};

/** @throws InvalidConfigurationError */
async function parseBody(text: string): Promise<TaskOptions> {
  const { parse } = await import("smol-toml");
  const refuse = (subject: string, reason: string) =>
    new InvalidConfigurationError({ operation: "read the runtime's options", subject, reason });
  let document: Record<string, unknown>;
  try {
    document = parse(text);
  } catch (error) {
    throw refuse("TOML", errorMessage(error));
  }
  const options: TaskOptions = { ...NO_OPTIONS };
  const take = (key: string, value: unknown) => {
    const isText = typeof value === "string";
    const isFlag = typeof value === "boolean";
    if (key === "Root" && isText) options.root = value || undefined;
    else if (key === "BinaryName" && isText) options.runtime = value || undefined;
    else if (key === "ConfigPath" && isText) options.configurationPath = value || undefined;
    else if (key === "ShimCgroup" && isText) options.shimCgroup = value || undefined;
    else if (key === "SystemdCgroup" && isFlag) options.systemdCgroup = value;
    else if (key === "NoNewKeyring" && isFlag) options.noNewKeyring = value;
    else if (key === "NoPivotRoot" && isFlag) options.noPivotRoot = value;
    // The default that older containerds write out.
    else if (value !== "" && value !== 0 && value !== false) {
      throw refuse(key, `found ${JSON.stringify(value)}; ${ALLOWED}`);
    }
  };
  for (const [key, value] of Object.entries(document)) take(key, value);
  return options;
}

const ALLOWED = "allowed: the texts Root, BinaryName, ConfigPath, ShimCgroup and the flags " +
  "SystemdCgroup, NoNewKeyring, NoPivotRoot";
