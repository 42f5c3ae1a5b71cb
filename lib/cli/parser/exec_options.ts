import { createOptions, type OptionSpecs } from "./options.ts";

/** Options of `exec`: runc's. */
export const execOptions = {
  process: {
    kind: "text",
    names: ["-p", "--process"],
    metavar: "FILE",
    help: "The process as JSON, as process of config.json.",
  },
  tty: { kind: "flag", names: ["-t", "--tty"], help: "Give the process a terminal." },
  detach: {
    kind: "flag",
    names: ["-d", "--detach"],
    help: "Do not wait for the process to exit.",
  },
  pidFile: {
    kind: "text",
    names: ["--pid-file"],
    metavar: "FILE",
    help: "Write the id of the process that stands for it on the host to this file.",
  },
  consoleSocket: {
    kind: "text",
    names: ["--console-socket"],
    metavar: "SOCKET",
    help: "With a terminal: send the terminal's master to this socket.",
  },
  user: {
    kind: "text",
    names: ["-u", "--user"],
    metavar: "UID[:GID]",
    help: "Run as this user (default: the container's).",
  },
  cwd: {
    kind: "text",
    names: ["--cwd"],
    metavar: "DIR",
    help: "Working directory (default: the container's).",
  },
  env: {
    kind: "list",
    names: ["-e", "--env"],
    metavar: "NAME=VALUE",
    help: "Add to the container's environment; may be repeated.",
  },
  additionalGids: {
    kind: "list",
    names: ["-g", "--additional-gids"],
    metavar: "GID",
    help: "Add a supplementary group; may be repeated.",
  },
  cap: {
    kind: "list",
    names: ["-c", "--cap"],
    metavar: "CAPABILITY",
    help: "Add a capability; may be repeated.",
  },
  noNewPrivs: {
    kind: "flag",
    names: ["--no-new-privs"],
    help: "Let no program give it further privileges.",
  },
  preserveFds: createOptions.preserveFds,
} as const satisfies OptionSpecs;
