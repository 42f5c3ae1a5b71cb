import { InvalidConfigurationError } from "../errors.ts";
import { monitorByName, monitorNames } from "../monitor/registry.ts";
import type { FirmwareKind, Monitor } from "../monitor/types.ts";
import { capabilityNames } from "./capabilities.ts";
import { suggestion } from "../os/suggestion.ts";
import type { Configuration, MonitorConfiguration } from "./types.ts";

/** What holds on a node without a configuration file. */
export function defaultConfiguration(): Configuration {
  return {
    device_access: "private",
    accelerator: "kvm",
    default_memory_mib: 256,
    shim_group: "container",
    oci_runtime: "runc",
    monitors: {},
  };
}

/**
 * Reads the operator's configuration, `/etc/urunc/config.toml`. Every key is optional:
 *
 * ```toml
 * # "private": device nodes made for each container alone, owned by the monitor's user.
 * # "groups": nodes with the host's owner and mode; the monitor's groups decide.
 * # "fd": no nodes; the monitor, which can only be QEMU, is handed open descriptors.
 * device_access = "private"
 *
 * # "tcg" lets guests run without KVM, slowly.
 * accelerator = "kvm"
 *
 * # MiB of guest memory when the container has no memory limit.
 * default_memory_mib = 256
 *
 * # "container": a shim for each container or pod. "namespace": one for all of a containerd namespace.
 * shim_group = "container"
 *
 * # Runs the containers that are no guests: a pod's sandbox, sidecars.
 * oci_runtime = "runc"
 *
 * [monitors.qemu]
 * path = "/usr/bin/qemu-system-x86_64"  # otherwise looked up by name
 * capabilities = []                     # what the monitor keeps, as "CAP_NET_ADMIN"
 * data_paths = ["/opt/firmware"]        # bound read-only besides the monitor's own
 *
 * [monitors.qemu.firmware]              # otherwise looked up where distributions keep it
 * qboot = "/usr/share/qemu/qboot.rom"
 * seabios = "/usr/share/seabios/bios-256k.bin"
 * ```
 *
 * Asynchronous, because the TOML parser is loaded only when there is a file to parse.
 *
 * @param toml the text of the file
 * @returns the file's values over {@linkcode defaultConfiguration}
 * @throws InvalidConfigurationError naming the line of a syntax error, or the key, what was found
 * and what is allowed
 */
export async function parseConfiguration(toml: string): Promise<Configuration> {
  const document = new Table(await parseToml(toml), "");
  const defaults = defaultConfiguration();
  const configuration = {
    device_access: document.choice("device_access", ["private", "groups", "fd"]) ??
      defaults.device_access,
    accelerator: document.choice("accelerator", ["kvm", "tcg"]) ?? defaults.accelerator,
    // The upper bound, 1 TiB, only catches a number meant as bytes.
    default_memory_mib: document.integer("default_memory_mib", 1, 2 ** 20) ??
      defaults.default_memory_mib,
    shim_group: document.choice("shim_group", ["container", "namespace"]) ?? defaults.shim_group,
    oci_runtime: document.text("oci_runtime", program) ?? defaults.oci_runtime,
    monitors: readMonitors(document.table("monitors")),
  };
  document.refuseOthers();
  return configuration;
}

async function parseToml(toml: string): Promise<unknown> {
  const { parse, TomlError } = await import("smol-toml");
  try {
    return parse(toml);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    // The message goes on with an excerpt of several lines.
    const reason = cause.message.split("\n")[0]!.replace(/^Invalid TOML document: /, "");
    throw new InvalidConfigurationError({
      operation: "read the configuration",
      subject: `line ${cause.line}, column ${cause.column}`,
      reason: `not TOML: ${reason}`,
      cause,
    });
  }
}

function readMonitors(monitors: Table | undefined): Record<string, MonitorConfiguration> {
  if (monitors === undefined) return {};
  const result: Record<string, MonitorConfiguration> = {};
  for (const name of monitorNames()) {
    const monitor = monitors.table(name);
    if (monitor === undefined) continue;
    result[name] = {
      path: monitor.text("path", absolutePath),
      capabilities: monitor.texts("capabilities", capability) ?? [],
      data_paths: monitor.texts("data_paths", absolutePath) ?? [],
      ...readFirmware(monitor, monitorByName(name).firmware),
    };
    monitor.refuseOthers();
  }
  monitors.refuseOthers();
  return result;
}

/** @param kinds that the monitor has; undefined: it starts kernels by itself */
function readFirmware(
  monitor: Table,
  kinds: Monitor["firmware"],
): Pick<MonitorConfiguration, "firmware"> {
  const firmware = kinds === undefined ? undefined : monitor.table("firmware");
  if (kinds === undefined || firmware === undefined) return {};
  const names = Object.keys(kinds) as FirmwareKind[];
  const paths = names.map((name) => [name, firmware.text(name, absolutePath)] as const);
  firmware.refuseOthers();
  return { firmware: Object.fromEntries(paths) };
}

/** A form that a string must have: what is allowed, in words, and the test for it. */
interface Form {
  allowed: string;
  accepts(value: string): boolean;
}

const absolutePath: Form = {
  allowed: "an absolute path",
  accepts: (value) => value.startsWith("/") && !value.includes("\0"),
};

const program: Form = {
  allowed: "a program's name, or an absolute path",
  accepts: (value) => value !== "" && !value.includes("\0") && /^(\/|[^/]+$)/.test(value),
};

const capability: Form = {
  allowed: "a capability's name, as CAP_NET_ADMIN (capabilities(7))",
  accepts: (value) => capabilityNames.includes(value),
};

/** A TOML table of which every key must be asked for: {@linkcode Table.refuseOthers}. */
class Table {
  readonly #values: Record<string, unknown>;
  readonly #path: string;
  readonly #asked: string[] = [];

  constructor(value: unknown, path: string) {
    if (
      typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Date
    ) {
      throw invalid(path, value, "a table");
    }
    this.#values = value as Record<string, unknown>;
    this.#path = path;
  }

  choice<T extends string>(key: string, allowed: readonly T[]): T | undefined {
    const value = this.#get(key);
    if (value === undefined) return undefined;
    const found = allowed.find((candidate) => candidate === value);
    if (found !== undefined) return found;
    throw invalid(this.#child(key), value, allowed.map((it) => `"${it}"`).join(" or "));
  }

  integer(key: string, minimum: number, maximum: number): number | undefined {
    const value = this.#get(key);
    if (value === undefined) return undefined;
    if (Number.isInteger(value) && value as number >= minimum && value as number <= maximum) {
      return value as number;
    }
    throw invalid(this.#child(key), value, `a whole number from ${minimum} to ${maximum}`);
  }

  text(key: string, form: Form): string | undefined {
    const value = this.#get(key);
    return value === undefined ? undefined : checked(value, this.#child(key), form);
  }

  texts(key: string, form: Form): string[] | undefined {
    const value = this.#get(key);
    if (value === undefined) return undefined;
    const path = this.#child(key);
    if (!Array.isArray(value)) throw invalid(path, value, "an array of strings");
    return value.map((element, index) => checked(element, `${path}[${index}]`, form));
  }

  table(key: string): Table | undefined {
    const value = this.#get(key);
    return value === undefined ? undefined : new Table(value, this.#child(key));
  }

  /** A key that nobody asked for is a mistake: it would silently do nothing. */
  refuseOthers(): void {
    const unknown = Object.keys(this.#values).find((key) => !this.#asked.includes(key));
    if (unknown === undefined) return;
    throw new InvalidConfigurationError({
      operation: "read the configuration",
      subject: this.#child(unknown),
      reason: "no such key",
      remedy: suggestion(unknown, this.#asked),
    });
  }

  #get(key: string): unknown {
    this.#asked.push(key);
    return Object.hasOwn(this.#values, key) ? this.#values[key] : undefined;
  }

  #child(key: string): string {
    return this.#path === "" ? key : `${this.#path}.${key}`;
  }
}

function checked(value: unknown, path: string, form: Form): string {
  if (typeof value === "string" && form.accepts(value)) return value;
  throw invalid(path, value, form.allowed);
}

function invalid(path: string, found: unknown, allowed: string): InvalidConfigurationError {
  return new InvalidConfigurationError({
    operation: "read the configuration",
    subject: path,
    reason: `found ${describe(found)}, allowed: ${allowed}`,
  });
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return "an array";
  if (value instanceof Date) return "a date";
  if (typeof value === "object") return "a table";
  return typeof value === "string"
    ? `the string ${JSON.stringify(value)}`
    : `the ${typeof value} ${value}`;
}
