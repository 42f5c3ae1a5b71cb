/** Kinds of options, and what their values become. Pure data: help and completion read it too. */
export type OptionSpec =
  | { kind: "flag"; names: string[]; help: string }
  | { kind: "text"; names: string[]; metavar: string; help: string; default?: string }
  | { kind: "list"; names: string[]; metavar: string; help: string; default?: undefined }
  | { kind: "choice"; names: string[]; choices: readonly string[]; help: string; default: string }
  | { kind: "count"; names: string[]; metavar: string; help: string; default: number };

export type OptionSpecs = Record<string, OptionSpec>;

/** A positional argument. All are required, except the last when it has a default. */
export interface PositionalSpec {
  metavar: string;
  help: string;
  default?: string;
  /** Those that completion offers. */
  words?: readonly string[];
}

export type PositionalSpecs = Record<string, PositionalSpec>;

type ValueOf<Spec extends OptionSpec> = Spec extends { kind: "flag" } ? boolean
  : Spec extends { kind: "count" } ? number
  : Spec extends { kind: "list" } ? string[]
  : Spec extends { kind: "choice"; choices: readonly (infer Choice)[] } ? Choice
  : Spec extends { default: string } ? string
  : string | undefined;

/** The parsed values of options. */
export type ValuesOf<Specs extends OptionSpecs> = { [Key in keyof Specs]: ValueOf<Specs[Key]> };

/** The default of `--root`. */
export const DEFAULT_ROOT = "/run/urunc";

/** Options before the verb; the same for all verbs. */
export const globalOptions = {
  root: {
    kind: "text",
    names: ["--root"],
    metavar: "DIR",
    help: "Directory for the state of containers.",
    default: DEFAULT_ROOT,
  },
  log: {
    kind: "text",
    names: ["--log"],
    metavar: "FILE",
    help: "Write logs to this file instead of standard error.",
  },
  logFormat: {
    kind: "choice",
    names: ["--log-format"],
    choices: ["text", "json"],
    help: "Format of log lines.",
    default: "text",
  },
  debug: { kind: "flag", names: ["--debug"], help: "Enable debug logging." },
  config: {
    kind: "text",
    names: ["--config"],
    metavar: "FILE",
    help: "Configuration file (default: /etc/urunc/config.toml, if it exists).",
  },
  systemdCgroup: {
    kind: "flag",
    names: ["--systemd-cgroup"],
    help: "Create cgroups through systemd; linux.cgroupsPath is then slice:prefix:name.",
  },
} as const satisfies OptionSpecs;

/** Options that `create` and `run` share. */
export const createOptions = {
  bundle: {
    kind: "text",
    names: ["-b", "--bundle"],
    metavar: "DIR",
    help: "Bundle: the directory that holds config.json (default: the current directory).",
    default: ".",
  },
  pidFile: {
    kind: "text",
    names: ["--pid-file"],
    metavar: "FILE",
    help: "Write the container's process id to this file.",
  },
  consoleSocket: {
    kind: "text",
    names: ["--console-socket"],
    metavar: "SOCKET",
    help: "With process.terminal: send the terminal's master to this socket.",
  },
  noPivot: {
    kind: "flag",
    names: ["--no-pivot"],
    help: "Not supported: the monitor's root is a file system of its own, entered by pivot_root.",
  },
  noNewKeyring: {
    kind: "flag",
    names: ["--no-new-keyring"],
    help: "Keep the caller's session keyring.",
  },
  preserveFds: {
    kind: "count",
    names: ["--preserve-fds"],
    metavar: "N",
    help: "Only 0 is supported: file descriptors cannot be passed to a guest.",
    default: 0,
  },
  dryRun: {
    kind: "flag",
    names: ["--dry-run"],
    help: "Print the launch plans as JSON and create nothing.",
  },
} as const satisfies OptionSpecs;
