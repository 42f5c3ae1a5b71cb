import { UsageError } from "../../errors.ts";

/** What containerd calls a shim for; `daemon` is what `start` leaves running. */
export type ShimAction = "start" | "daemon" | "delete" | "version" | "info";

/** A shim's command line, as containerd writes it. */
export interface ShimArguments {
  action: ShimAction;
  namespace: string;
  /** Of containerd's main socket. */
  address: string;
  /** A program that takes events, for a containerd without a ttrpc socket. */
  publishBinary?: string;
  id: string;
  /** Absolute or not; only `delete` gets it, everything else has it as its working directory. */
  bundle?: string;
  debug: boolean;
  /** Of the daemon: where it listens. */
  socket?: string;
  /** Of the daemon: it serves a whole namespace of containerd. */
  shared: boolean;
}

/** Options that take a value, and what it is; the manual page has them from here. */
export const shimTexts = {
  namespace: "containerd's namespace of the container. Required.",
  address: "Path of containerd's socket.",
  "publish-binary": "Program that publishes events, for a containerd without a ttrpc socket.",
  id: "The container's id. Required.",
  bundle: "Directory of config.json; the working directory unless given.",
  socket: "Of the daemon: where it listens.",
} as const;

/** Options without a value. */
export const shimFlags = {
  debug: "Enable debug logging.",
  v: "Show the version.",
  info: "Describe the runtime to containerd 2.",
  shared: "Of the daemon: it serves a whole namespace.",
} as const;

/** What containerd calls the shim for. */
export const shimActions = {
  start: "Find or start the daemon that serves this container, and print its address.",
  daemon: "Serve containers until the last one is deleted. Called by start.",
  delete: "Remove what a daemon that was killed has left.",
} as const;

type TextName = keyof typeof shimTexts;
type FlagName = keyof typeof shimFlags;

/**
 * Parses a shim's command line: options as Go's `flag` package understands them (`-name value`,
 * `-name=value`, one dash or two), then the action.
 *
 * @throws UsageError
 * @see https://github.com/containerd/containerd/blob/main/docs/runtime-v2.md#command-line
 */
export function parseShimArguments(args: readonly string[]): ShimArguments {
  const texts: Partial<Record<TextName, string>> = {};
  const flags: Partial<Record<FlagName, boolean>> = {};
  let index = 0;
  for (; index < args.length; index++) {
    const argument = args[index]!;
    const option = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(argument);
    if (option === null) break;
    const [, name, inline] = option;
    if (isFlag(name!)) {
      flags[name] = inline === undefined || inline === "true" || inline === "1";
    } else if (isText(name!)) {
      const value = inline ?? args[++index];
      if (value === undefined) throw refused(argument, "its value is missing");
      texts[name] = value;
    } else throw refused(argument, "no such option");
  }
  const action = flags.v ? "version" : flags.info ? "info" : toAction(args.slice(index));
  const needed = action !== "version" && action !== "info";
  for (const name of ["namespace", "id"] as const) {
    if (needed && !texts[name]) throw refused(`-${name}`, "it is required");
  }
  return {
    action,
    namespace: texts.namespace ?? "",
    address: texts.address ?? "",
    publishBinary: texts["publish-binary"] || undefined,
    id: texts.id ?? "",
    bundle: texts.bundle || undefined,
    debug: flags.debug ?? false,
    socket: texts.socket || undefined,
    shared: flags.shared ?? false,
  };
}

function isFlag(name: string): name is FlagName {
  return Object.hasOwn(shimFlags, name);
}

function isText(name: string): name is TextName {
  return Object.hasOwn(shimTexts, name);
}

function isAction(name: string): name is keyof typeof shimActions {
  return Object.hasOwn(shimActions, name);
}

function toAction(rest: readonly string[]): ShimAction {
  const [action, ...others] = rest;
  if (action === undefined) throw refused("start or delete", "it is missing");
  if (!isAction(action)) throw refused(action, "no such action");
  if (others.length > 0) throw refused(others[0]!, "nothing may follow the action");
  return action;
}

function refused(subject: string, reason: string): UsageError {
  return new UsageError({
    operation: "read the shim's command line",
    subject,
    reason,
    remedy: "containerd calls it: configure the runtime type io.containerd.urunc.v2",
  });
}
