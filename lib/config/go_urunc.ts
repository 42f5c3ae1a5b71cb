import { monitorByName, monitorNames } from "../monitor/registry.ts";

/** Tables of the Go implementation's config.toml that say nothing to this one. */
const IGNORED: Readonly<Record<string, string>> = {
  log: "logs go where the caller says (--log), and --debug logs more",
  timestamps: "--debug logs how long each step takes",
  extra_binaries: "no further programs are run beside the monitor",
};

/** The same of what is in its table `monitors`, by the monitor's name and by the key in that one's table. */
const IGNORED_MONITORS: Readonly<Record<string, string>> = {
  "cloud-hypervisor": "no guest runs on that monitor here",
};
/** Of a monitor that cannot use it. */
const IGNORED_KEYS: Readonly<Record<string, string>> = { vhost: "only QEMU uses vhost-net" };

/** Of its keys in a table `monitors.NAME`, ours; `binary_path` was in older versions. */
const RENAMED: Readonly<Record<string, string>> = {
  default_memory_mb: "default_memory_mib",
  binary_path: "path",
};

/** What older versions called the table `monitors`. */
const OLD_MONITORS = "hypervisors";

/** A document in this implementation's keys. */
export interface Adopted {
  document: unknown;
  /** What was left out, a sentence each. */
  warnings: string[];
}

/**
 * Reads the Go implementation's config.toml, which has the same place, as one of ours: where it is left
 * from before, no container of the node should fail for it. What means the same is taken over, and what
 * has no meaning here left out with a warning. Every other key stays, for the parser to judge.
 *
 * @param document what the TOML parser made of the file
 */
export function adoptGoUrunc(document: unknown): Adopted {
  if (!isTable(document)) return { document, warnings: [] };
  const warnings: string[] = [];
  const kept = without(document, IGNORED, ["table", ""], warnings);
  const monitors = withOld(kept);
  if (!isTable(monitors)) return { document: kept, warnings };
  const { [OLD_MONITORS]: _, ...rest } = kept;
  return { document: { ...rest, monitors: adoptMonitors(monitors, warnings) }, warnings };
}

/**
 * @param kind what `ignored` has; others of these names stay
 * @param prefix of the keys, for the warnings
 */
function without(
  table: Table,
  ignored: Readonly<Record<string, string>>,
  [kind, prefix]: [kind: "table" | "key", prefix: string],
  warnings: string[],
): Table {
  const isIgnored = (key: string) =>
    Object.hasOwn(ignored, key) && isTable(table[key]) === (kind === "table");
  for (const key of Object.keys(table).filter(isIgnored)) {
    warnings.push(`the configuration's ${kind} ${prefix}${key} is ignored: ${ignored[key]}`);
  }
  return Object.fromEntries(Object.entries(table).filter(([key]) => !isIgnored(key)));
}

/** The table `monitors`, over what the older one has of other monitors. */
function withOld(document: Table): unknown {
  const { monitors, [OLD_MONITORS]: old } = document;
  return isTable(old) && (monitors === undefined || isTable(monitors))
    ? { ...old, ...monitors }
    : monitors;
}

function adoptMonitors(monitors: Table, warnings: string[]): Table {
  const adopted = Object.entries(
    without(monitors, IGNORED_MONITORS, ["table", "monitors."], warnings),
  )
    .map(([name, value]) =>
      [name, isTable(value) ? adoptMonitor(name, value, warnings) : value] as const
    );
  return Object.fromEntries(adopted);
}

function adoptMonitor(name: string, monitor: Table, warnings: string[]): Table {
  const { data_path: dataPath, ...rest } = monitor;
  const ignored = usesVhost(name) ? {} : IGNORED_KEYS;
  const kept = without(rest, ignored, ["key", `monitors.${name}.`], warnings);
  const entries = Object.entries(kept)
    .map(([key, value]) => [Object.hasOwn(RENAMED, key) ? RENAMED[key]! : key, value] as const)
    // An empty path is what it writes for one that is looked up.
    .filter(([key, value]) => key !== "path" || value !== "");
  const adopted: Table = Object.fromEntries(entries);
  if (dataPath === undefined || dataPath === "") return adopted;
  const own = Array.isArray(adopted.data_paths) ? adopted.data_paths : [];
  return { ...adopted, data_paths: [...own, dataPath] };
}

/** @param name which may be no monitor's: the parser says so */
function usesVhost(name: string): boolean {
  return monitorNames().includes(name) && monitorByName(name).usesVhost === true;
}

/**
 * What a key of ours may be called in the Go implementation's file.
 *
 * @param path as errors name it: `monitors.qemu.default_memory_mib`
 * @returns the path itself first
 */
export function originalPaths(path: string): string[] {
  const [, parent, key] = /^(.*\.)([^.]+)$/.exec(path) ?? [];
  const former = Object.keys(RENAMED).filter((it) => RENAMED[it] === key);
  const paths = [path, ...former.map((it) => `${parent}${it}`)];
  return paths.flatMap((it) => [it, it.replace(/^monitors\b/, OLD_MONITORS)]);
}

type Table = Record<string, unknown>;

function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    !(value instanceof Date);
}
