import {
  createOptions,
  type globalOptions,
  type OptionSpecs,
  type PositionalSpec,
  type PositionalSpecs,
  type ValuesOf,
} from "./options.ts";
import { doctorOptions } from "./doctor_options.ts";
import { execOptions } from "./exec_options.ts";
import { installOptions, uninstallOptions } from "./install_options.ts";
import { updateOptions } from "./update_options.ts";

/** A verb's help, options and arguments. */
export interface CommandSpec {
  summary: string;
  options: OptionSpecs;
  positionals: PositionalSpecs;
  /** Words after them, which are taken as they are: nothing among them is an option. */
  rest?: PositionalSpec;
}

const id = { metavar: "ID", help: "The container's id." };

/** All verbs, in the order in which help shows them. */
export const commands = {
  create: {
    summary: "Create a container from a bundle.",
    options: createOptions,
    positionals: { id },
  },
  start: {
    summary: "Start a created container.",
    options: {},
    positionals: { id },
  },
  run: {
    summary: "Create, start, wait for and delete a container.",
    options: {
      detach: {
        kind: "flag",
        names: ["-d", "--detach"],
        help: "Do not wait for the container to exit.",
      },
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
    summary: "Delete a stopped container.",
    options: {
      force: {
        kind: "flag",
        names: ["-f", "--force"],
        help: "Kill the container first if it is running.",
      },
    },
    positionals: { id },
  },
  list: {
    summary: "List containers.",
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
    summary: "List the container's processes on the host.",
    options: {
      format: {
        kind: "choice",
        names: ["-f", "--format"],
        choices: ["table", "json"],
        help: "Format of the list.",
        default: "table",
      },
      guest: {
        kind: "flag",
        names: ["--guest"],
        help: "The processes in the guest, as the guest reports them; it must have an agent.",
      },
    },
    positionals: { id },
  },
  exec: {
    summary: "Run a process in a container whose guest has an agent.",
    get options() {
      return execOptions;
    },
    positionals: { id },
    rest: { metavar: "COMMAND", help: "The program and its arguments, without --process." },
  },
  pause: {
    summary: "Pause a container.",
    options: {},
    positionals: { id },
  },
  resume: {
    summary: "Resume a paused container.",
    options: {},
    positionals: { id },
  },
  events: {
    summary: "Stream resource statistics and OOM events as JSON.",
    options: {
      stats: { kind: "flag", names: ["--stats"], help: "Print statistics once and exit." },
      interval: {
        kind: "text",
        names: ["--interval"],
        metavar: "DURATION",
        help: "Time between statistics (default: 5s).",
        default: "5s",
      },
      timeline: {
        kind: "flag",
        names: ["--timeline"],
        help: "Print how long each phase of the container's start took and exit.",
      },
      format: {
        kind: "choice",
        names: ["--format"],
        choices: ["table", "trace"],
        help: "Format of the timeline: a table, or a trace file for Perfetto and Chrome.",
        default: "table",
      },
    },
    positionals: { id },
  },
  logs: {
    summary: "Print the console of a guest's kernel.",
    options: {
      console: {
        kind: "flag",
        names: ["--console"],
        help: "The kernel's console, at most the last 64 KiB; the guest must have an agent.",
      },
    },
    positionals: { id },
  },
  update: {
    summary: "Update a container's resource limits.",
    // Many, and loaded only for who updates.
    get options() {
      return updateOptions;
    },
    positionals: { id },
  },
  kernel: {
    summary: "Add, list or remove kernels for Linux guests whose images bring none.",
    options: {
      name: {
        kind: "text",
        names: ["--name"],
        metavar: "NAME",
        help: "add: the kernel's name (default: its release).",
      },
      modules: {
        kind: "text",
        names: ["--modules"],
        metavar: "DIR",
        help:
          "add: the directory of its modules, which has modules.dep (default: lib/modules/RELEASE " +
          "beside the boot directory that FILE is in).",
      },
      with: {
        kind: "list",
        names: ["--with"],
        metavar: "MODULE",
        help:
          "add: a further module, which a guest's kernel loads when it needs it, as bridge or nft_*; may " +
          "be repeated.",
      },
      format: {
        kind: "choice",
        names: ["-f", "--format"],
        choices: ["table", "json"],
        help: "Format of the list.",
        default: "table",
      },
    },
    positionals: {
      action: {
        metavar: "ACTION",
        help: "add FILE, list, or rm NAME.",
        words: ["add", "list", "rm"],
      },
      argument: {
        metavar: "FILE|NAME",
        help: "A distribution's kernel, vmlinuz; or the name of one that was added.",
        default: "",
      },
    },
  },
  spec: {
    summary: "Write a template config.json for a guest.",
    options: { bundle: createOptions.bundle },
    positionals: {},
  },
  doctor: {
    summary: "Check this node: what guests need, who may use it, and what to mend.",
    // Loaded only for this command, as those below.
    get options() {
      return doctorOptions;
    },
    positionals: {
      other: {
        metavar: "FILE",
        help: "With --compare: the report of the other node. Without it: this node.",
        default: "",
      },
    },
  },
  config: {
    summary: "Show the configuration that holds and where each value is from, or check a file.",
    options: {
      format: {
        kind: "choice",
        names: ["-f", "--format"],
        choices: ["table", "json"],
        help: "Format of the output.",
        default: "table",
      },
    },
    positionals: {
      action: {
        metavar: "ACTION",
        help: "show, or check: whether a file is valid, with the line of each mistake.",
        default: "show",
        words: ["show", "check"],
      },
      file: { metavar: "FILE", help: "To check; the node's own without it.", default: "" },
    },
  },
  install: {
    summary: "Install this executable, and configure docker, containerd, CRI-O and podman for it.",
    get options() {
      return installOptions;
    },
    positionals: {},
  },
  uninstall: {
    summary: "Take back what install did.",
    get options() {
      return uninstallOptions;
    },
    positionals: {},
  },
  completion: {
    summary: "Print a shell completion script.",
    options: {},
    positionals: { shell: { metavar: "SHELL", help: "bash, zsh or fish." } },
  },
  features: {
    summary: "Print the features of this runtime as JSON.",
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
  & { [Key in keyof (typeof commands)[Name]["positionals"]]: string }
  & ((typeof commands)[Name] extends { rest: PositionalSpec } ? { rest: string[] } : unknown);

/** A parsed command line, by `verb`. */
export type Command = { [Name in Verb]: CommandOf<Name> }[Verb];
