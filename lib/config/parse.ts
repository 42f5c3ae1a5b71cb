import {
  boolean,
  type Decoder,
  describe,
  Fields,
  integer,
  listOf,
  Place,
} from "../decode/decode.ts";
import { InvalidConfigurationError } from "../errors.ts";
import { type Adopted, adoptGoUrunc } from "./go_urunc.ts";
import { FILE_IDS, parseIdRange } from "./id_range.ts";
import { monitorByName, monitorNames } from "../monitor/registry.ts";
import type { Monitor } from "../monitor/types.ts";
import { suggestion } from "../os/suggestion.ts";
import {
  configurationKeys,
  configurationTables,
  firmwareKey,
  type Form,
  type KeySpec,
  type KeySpecs,
  type KeyValues,
  monitorKeys,
} from "./keys.ts";
import type { Configuration, MonitorConfiguration, TableValues } from "./types.ts";

const CONFIGURATION = new Place({
  object: "a table",
  error: (subject, reason, remedy) =>
    new InvalidConfigurationError({ operation: "read the configuration", subject, reason, remedy }),
});

/** What holds on a node without a configuration file. */
export function defaultConfiguration(): Configuration {
  const document = new Fields({}, CONFIGURATION);
  return { ...readKeys(document, configurationKeys), ...readTables(document), monitors: {} };
}

/**
 * Reads the operator's configuration, `/etc/urunc/config.toml`. Every key is optional; `keys.ts` lists
 * them.
 *
 * A file of the Go implementation is read, too: see {@linkcode adoptGoUrunc}.
 *
 * Asynchronous, because the TOML parser is loaded only when there is a file to parse.
 *
 * @param toml the text of the file
 * @returns the file's values over {@linkcode defaultConfiguration}
 * @throws InvalidConfigurationError naming the line of a syntax error, or the key, what was found
 * and what is allowed
 */
export async function parseConfiguration(toml: string): Promise<Configuration> {
  return readConfiguration(adoptGoUrunc(await parseToml(toml)));
}

/**
 * As {@linkcode parseConfiguration}, of what the TOML parser made of a file.
 *
 * @throws InvalidConfigurationError naming the key, what was found and what is allowed
 */
export function readConfiguration({ document: adopted, warnings }: Adopted): Configuration {
  const document = new Fields(adopted, CONFIGURATION);
  const configuration = {
    ...readKeys(document, configurationKeys),
    ...readTables(document),
    monitors: readMonitors(document.section("monitors")),
    ...(warnings.length === 0 ? {} : { warnings }),
  };
  refuseOthers(document);
  requireRange(configuration);
  return configuration;
}

/** What no key alone can say. */
function requireRange(configuration: Configuration): void {
  const { ids, device_access } = configuration;
  requireFileIds(configuration);
  if (ids.mode === "container") return;
  const mode = CONFIGURATION.child("ids").child("mode");
  if (ids.range === undefined) {
    throw mode.error(
      `"${ids.mode}" needs ids.range`,
      'for example range = "2100000000-2100065535"',
    );
  }
  if (device_access === "groups") {
    const reason = `"${ids.mode}" leaves no groups to monitors, and device_access is "groups"`;
    throw mode.error(reason, 'device_access = "private" needs none');
  }
}

/** For one container at least. */
function requireFileIds({ ids, "guests.linux": linux }: Configuration): void {
  if (linux.file_access !== "userns") return;
  const at = CONFIGURATION.child("guests").child("linux").child("file_access");
  const needed = ids.mode === "container" ? FILE_IDS : FILE_IDS + 1;
  const range = ids.range === undefined ? undefined : parseIdRange(ids.range);
  if (range !== undefined && range.last - range.first + 1 >= needed) return;
  throw at.error(
    `"userns" needs ids.range, of ${needed} ids for each container`,
    'for example range = "2000000000-2100000000"',
  );
}

/** @throws InvalidConfigurationError naming the line of a syntax error */
export async function parseToml(toml: string): Promise<unknown> {
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

function readTables(document: Fields): TableValues {
  const tables = new Map<string, Fields>();
  const read = Object.entries(configurationTables).map(([name, specs]) => {
    const [first = name, second] = name.split(".");
    const outer = tables.get(first) ?? document.section(first);
    const table = second === undefined ? outer : outer.section(second);
    tables.set(name, table);
    return [name, readKeys<KeySpecs>(table, specs)];
  });
  tables.forEach(refuseOthers);
  // The type was made from the tables that the values are read by.
  return Object.fromEntries(read) as TableValues;
}

function readMonitors(monitors: Fields): Record<string, MonitorConfiguration> {
  const result: Record<string, MonitorConfiguration> = {};
  for (const name of monitorNames()) {
    const monitor = monitors.optional(name, (value, at) => new Fields(value, at));
    if (monitor === undefined) continue;
    result[name] = {
      ...readKeys(monitor, monitorKeys),
      ...readFirmware(monitor, monitorByName(name).firmware),
    };
    refuseOthers(monitor);
  }
  refuseOthers(monitors);
  return result;
}

/** @param kinds that the monitor has; undefined: it starts kernels itself */
function readFirmware(
  monitor: Fields,
  kinds: Monitor["firmware"],
): Pick<MonitorConfiguration, "firmware"> {
  if (kinds === undefined) return {};
  const firmware = monitor.optional("firmware", (value, at) => new Fields(value, at));
  if (firmware === undefined) return {};
  const paths = Object.keys(kinds).map((name) =>
    [name, firmware.optional(name, formed(firmwareKey.form))] as const
  );
  refuseOthers(firmware);
  return { firmware: Object.fromEntries(paths) };
}

/** The values of all keys of a table, or their defaults. */
function readKeys<Specs extends KeySpecs>(table: Fields, specs: Specs): KeyValues<Specs> {
  const values = Object.entries(specs).map(([key, spec]) => [key, readKey(table, key, spec)]);
  // The types were made from the table that the values are read by.
  return Object.fromEntries(values) as KeyValues<Specs>;
}

function readKey(table: Fields, key: string, spec: KeySpec) {
  switch (spec.kind) {
    case "choice":
      return table.optional(key, choice(spec.choices)) ?? spec.default;
    case "integer":
      return table.optional(key, integer(spec.minimum, spec.maximum)) ?? spec.default;
    case "boolean":
      return table.optional(key, boolean) ?? spec.default;
    case "text":
      return table.optional(key, formed(spec.form)) ?? spec.default;
    case "texts":
      return table.optional(key, listOf(formed(spec.form))) ?? [...spec.default ?? []];
  }
}

/** An unknown key is a mistake: it would silently do nothing. */
function refuseOthers(table: Fields): void {
  const unknown = table.unknown();
  if (unknown === undefined) return;
  throw unknown.at.error("no such key", suggestion(unknown.key, unknown.known));
}

function choice<T extends string>(allowed: readonly T[]): Decoder<T> {
  return (value, at) => {
    const found = allowed.find((candidate) => candidate === value);
    if (found !== undefined) return found;
    throw at.invalid(describe(value), allowed.map((it) => `"${it}"`).join(" or "));
  };
}

function formed(form: Form): Decoder<string> {
  return (value, at) => {
    if (typeof value === "string" && form.accepts(value)) return value;
    throw at.invalid(describe(value), form.allowed);
  };
}
