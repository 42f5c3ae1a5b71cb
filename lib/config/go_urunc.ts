/** Tables of the Go implementation's config.toml that say nothing to this one. */
const IGNORED: Readonly<Record<string, string>> = {
  log: "logs go where the caller says (--log), and --debug logs more",
  timestamps: "--debug logs how long each step takes",
  extra_binaries: "no further programs are run beside the monitor",
};

/** Of its keys in a table `monitors.NAME`, ours. */
const RENAMED = { default_memory_mb: "default_memory_mib" };

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
  const ignored = Object.keys(IGNORED).filter((name) => isTable(document[name]));
  const kept = Object.entries(document).filter(([name]) => !ignored.includes(name));
  const adopted = kept.map(([name, value]) =>
    [name, name === "monitors" && isTable(value) ? adoptMonitors(value) : value] as const
  );
  return {
    document: Object.fromEntries(adopted),
    warnings: ignored.map((name) =>
      `the configuration's table ${name} is ignored: ${IGNORED[name]}`
    ),
  };
}

function adoptMonitors(monitors: Table): Table {
  const adopted = Object.entries(monitors).map(([name, value]) =>
    [name, isTable(value) ? adoptMonitor(value) : value] as const
  );
  return Object.fromEntries(adopted);
}

function adoptMonitor(monitor: Table): Table {
  const { data_path: dataPath, ...rest } = monitor;
  const entries = Object.entries(rest)
    // An empty path is what it writes for one that is looked up.
    .filter(([key, value]) => key !== "path" || value !== "")
    .map((
      [key, value],
    ) => [Object.hasOwn(RENAMED, key) ? RENAMED[key as "default_memory_mb"] : key, value]);
  const adopted: Table = Object.fromEntries(entries);
  if (dataPath === undefined || dataPath === "") return adopted;
  const own = Array.isArray(adopted.data_paths) ? adopted.data_paths : [];
  return { ...adopted, data_paths: [...own, dataPath] };
}

type Table = Record<string, unknown>;

function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    !(value instanceof Date);
}
