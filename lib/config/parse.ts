import { InvalidConfigurationError } from "../errors.ts";
import { monitorByName, monitorNames } from "../monitor/registry.ts";
import type { Monitor } from "../monitor/types.ts";
import { suggestion } from "../os/suggestion.ts";
import {
  configurationKeys,
  firmwareKey,
  type Form,
  type KeySpec,
  type KeySpecs,
  type KeyValues,
  monitorKeys,
} from "./keys.ts";
import type { Configuration, MonitorConfiguration } from "./types.ts";

/** What holds on a node without a configuration file. */
export function defaultConfiguration(): Configuration {
  return { ...readKeys(new Table({}, ""), configurationKeys), monitors: {} };
}

/**
 * Reads the operator's configuration, `/etc/urunc/config.toml`. Every key is optional; `keys.ts` lists
 * them.
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
  const configuration = {
    ...readKeys(document, configurationKeys),
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
    // The message continues with an excerpt of several lines.
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
      ...readKeys(monitor, monitorKeys),
      ...readFirmware(monitor, monitorByName(name).firmware),
    };
    monitor.refuseOthers();
  }
  monitors.refuseOthers();
  return result;
}

/** @param kinds that the monitor has; undefined: it starts kernels itself */
function readFirmware(
  monitor: Table,
  kinds: Monitor["firmware"],
): Pick<MonitorConfiguration, "firmware"> {
  const firmware = kinds === undefined ? undefined : monitor.table("firmware");
  if (kinds === undefined || firmware === undefined) return {};
  const paths = Object.keys(kinds).map((name) =>
    [name, firmware.text(name, firmwareKey.form)] as const
  );
  firmware.refuseOthers();
  return { firmware: Object.fromEntries(paths) };
}

/** The values of all keys of a table, or their defaults. */
function readKeys<Specs extends KeySpecs>(table: Table, specs: Specs): KeyValues<Specs> {
  const values = Object.entries(specs).map(([key, spec]) => [key, readKey(table, key, spec)]);
  // The types were made from the table that the values are read by.
  return Object.fromEntries(values) as KeyValues<Specs>;
}

function readKey(table: Table, key: string, spec: KeySpec) {
  switch (spec.kind) {
    case "choice":
      return table.choice(key, spec.choices) ?? spec.default;
    case "integer":
      return table.integer(key, spec.minimum, spec.maximum) ?? spec.default;
    case "text":
      return table.text(key, spec.form) ?? spec.default;
    case "texts":
      return table.texts(key, spec.form) ?? [];
  }
}

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

  /** An unknown key is a mistake: it would silently do nothing. */
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
