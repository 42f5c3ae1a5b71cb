import { configurationKeys, configurationTables } from "./keys.ts";
import { adoptGoUrunc, originalPaths } from "./go_urunc.ts";
import { keyLines, lineOf } from "./lines.ts";
import { parseToml, readConfiguration } from "./parse.ts";

/** A key of the configuration, as it holds on this node. */
export interface EffectiveValue {
  key: string;
  /** Undefined: nothing is set, and there is no default. */
  value: unknown;
  origin: "default" | "file";
  /** Line of the file that sets it, from 1, where it is known. */
  line?: number;
}

/**
 * What holds on a node with this configuration file: every key with its value. Keys of a monitor are listed
 * when the file sets them.
 *
 * @param toml the text of the file; empty: there is none
 * @throws InvalidConfigurationError as `parseConfiguration`
 */
export async function effectiveValues(toml: string): Promise<EffectiveValue[]> {
  const adopted = adoptGoUrunc(await parseToml(toml));
  const { monitors, ...configuration } = readConfiguration(adopted);
  const lines = keyLines(toml);
  const values: [string, unknown][] = [
    ...Object.keys(configurationKeys).map((key): [string, unknown] => [
      key,
      valueAt(configuration, [key]),
    ]),
    ...Object.entries(configurationTables).flatMap(([table, specs]) =>
      Object.keys(specs).map((key): [string, unknown] => [
        `${table}.${key}`,
        valueAt(configuration, [table, key]),
      ])
    ),
    ...setValues("monitors", monitors),
  ];
  return values.map(([key, value]) => {
    if (valueAt(adopted.document, key.split(".")) === undefined) {
      return { key, value, origin: "default" };
    }
    const line = lineOf(lines, originalPaths(key));
    return { key, value, origin: "file", ...(line === undefined ? {} : { line }) };
  });
}

/** Of a monitor only what is set: the rest is looked up, or empty. */
function setValues(path: string, value: unknown): [string, unknown][] {
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return [];
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [[path, value]];
  return Object.entries(value).flatMap(([key, it]) => setValues(`${path}.${key}`, it));
}

function valueAt(table: unknown, keys: string[]): unknown {
  return keys.reduce<unknown>(
    (value, key) =>
      typeof value === "object" && value !== null && Object.hasOwn(value, key)
        ? (value as Record<string, unknown>)[key]
        : undefined,
    table,
  );
}
