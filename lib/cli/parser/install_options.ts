import type { OptionSpecs } from "./options.ts";

/** Options that `install` and `uninstall` share. */
export const uninstallOptions = {
  prefix: {
    kind: "text",
    names: ["--prefix"],
    metavar: "DIR",
    help: "A directory in place of the root directory: all files are below it.",
  },
  dryRun: {
    kind: "flag",
    names: ["--dry-run"],
    help: "Print what would be done, and do nothing.",
  },
  restart: {
    kind: "flag",
    names: ["--restart"],
    help: "Restart the daemons whose configuration has changed. Without it they go on as they are.",
  },
} as const satisfies OptionSpecs;

/** Options of `install`. Without an engine those are configured that are installed. */
export const installOptions = {
  containerd: {
    kind: "flag",
    names: ["--containerd"],
    help: "Configure containerd, for pods.",
  },
  docker: { kind: "flag", names: ["--docker"], help: "Configure docker." },
  crio: { kind: "flag", names: ["--crio"], help: "Configure CRI-O." },
  podman: { kind: "flag", names: ["--podman"], help: "Configure podman." },
  ...uninstallOptions,
} as const satisfies OptionSpecs;
