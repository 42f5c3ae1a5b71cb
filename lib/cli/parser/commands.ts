import {
  createOptions,
  type globalOptions,
  type OptionSpecs,
  type PositionalSpecs,
  type ValuesOf,
} from "./options.ts";
import { updateOptions } from "./update_options.ts";

/** What the command line says of one verb. */
export interface CommandSpec {
  summary: string;
  options: OptionSpecs;
  positionals: PositionalSpecs;
}

const id = { metavar: "ID", help: "The container's id." };

/** All verbs, in the order in which help shows them. */
export const commands = {
  create: {
    summary: "Make a container from a bundle, up to the point where only start is left.",
    options: createOptions,
    positionals: { id },
  },
  start: {
    summary: "Start a created container.",
    options: {},
    positionals: { id },
  },
  run: {
    summary: "Create, start, wait and delete: a guest in one command.",
    options: {
      detach: { kind: "flag", names: ["-d", "--detach"], help: "Do not wait for the guest's end." },
      ...createOptions,
    },
    positionals: { id },
  },
  state: {
    summary: "Print a container's state as JSON.",
    options: {},
    positionals: { id },
  },
  kill: {
    summary: "Send a signal to a container.",
    options: {
      all: { kind: "flag", names: ["-a", "--all"], help: "Signal all processes of the container." },
    },
    positionals: {
      id,
      signal: { metavar: "SIGNAL", help: "Name or number.", default: "SIGTERM" },
    },
  },
  delete: {
    summary: "Remove what is left of a stopped container.",
    options: {
      force: { kind: "flag", names: ["-f", "--force"], help: "Kill it first if it still runs." },
    },
    positionals: { id },
  },
  list: {
    summary: "List the containers of this root.",
    options: {
      format: {
        kind: "choice",
        names: ["-f", "--format"],
        choices: ["table", "json"],
        help: "Format of the list.",
        default: "table",
      },
      quiet: { kind: "flag", names: ["-q", "--quiet"], help: "Print ids only." },
    },
    positionals: {},
  },
  ps: {
    summary: "List the monitor's processes on the host.",
    options: {
      format: {
        kind: "choice",
        names: ["-f", "--format"],
        choices: ["table", "json"],
        help: "Format of the list.",
        default: "table",
      },
    },
    positionals: { id },
  },
  pause: {
    summary: "Stop a container's guest where it is.",
    options: {},
    positionals: { id },
  },
  resume: {
    summary: "Let a paused container go on.",
    options: {},
    positionals: { id },
  },
  events: {
    summary: "Print statistics and kills for want of memory, as JSON, until the end.",
    options: {
      stats: { kind: "flag", names: ["--stats"], help: "Print statistics once, and end." },
      interval: {
        kind: "text",
        names: ["--interval"],
        metavar: "DURATION",
        help: "Time between statistics (default: 5s).",
        default: "5s",
      },
    },
    positionals: { id },
  },
  update: {
    summary: "Change a container's limits; what is not given stays.",
    // Many, and loaded only for who updates.
    get options() {
      return updateOptions;
    },
    positionals: { id },
  },
  spec: {
    summary: "Write a config.json for a guest to start from.",
    options: { bundle: createOptions.bundle },
    positionals: {},
  },
  completion: {
    summary: "Print a script that completes command lines, to be sourced by the shell.",
    options: {},
    positionals: { shell: { metavar: "SHELL", help: "bash, zsh or fish." } },
  },
  features: {
    summary: "Print what this runtime supports, as JSON.",
    options: {},
    positionals: {},
  },
} as const satisfies Record<string, CommandSpec>;

export type Verb = keyof typeof commands;

/** The parsed global options. */
export type GlobalOptions = ValuesOf<typeof globalOptions>;

/** The parsed command line of one verb. */
export type CommandOf<Name extends Verb> =
  & { verb: Name }
  & GlobalOptions
  & ValuesOf<(typeof commands)[Name]["options"]>
  & { [Key in keyof (typeof commands)[Name]["positionals"]]: string };

/** A parsed command line; `verb` tells which. */
export type Command = { [Name in Verb]: CommandOf<Name> }[Verb];
