import { InvalidConfigurationError } from "../errors.ts";
import type { Process } from "../oci/types.ts";
import type { Step, TerminalReceiver } from "./types.ts";

/** The terminal is the monitor's alone: it has the only descriptor, and no path leads to it. */
const TERMINAL_MODE = 0o600;

/** Who takes the master of a terminal, and whether the command stays for as long as the guest runs. */
export interface TerminalRequest {
  /** `--console-socket`. */
  consoleSocket?: string;
  /** True for `create` and `run --detach`. */
  detached: boolean;
}

/**
 * Who takes the terminal's master; undefined when config.json asks for no terminal. runc's rules.
 *
 * @throws InvalidConfigurationError when nobody would take it, when there is nothing to send to a
 *   socket, and when the command itself would have to take what a socket was named for
 */
export function terminalReceiver(
  { terminal }: Process,
  { consoleSocket, detached }: TerminalRequest,
): TerminalReceiver | undefined {
  if (consoleSocket !== undefined && !terminal) {
    throw refused(
      "--console-socket",
      "process.terminal is false in config.json, so there is no terminal to send",
      "leave the option out, or set process.terminal",
    );
  }
  if (consoleSocket !== undefined && !detached) {
    throw refused(
      "--console-socket",
      "the command waits for the guest and uses the terminal itself",
      "leave the option out, or add --detach",
    );
  }
  if (terminal && detached && consoleSocket === undefined) {
    throw refused(
      "process.terminal",
      "config.json asks for a terminal, and nobody is there to take it",
      "--console-socket names a socket that is listened on; or use `urunc run` without --detach",
    );
  }
  if (!terminal) return undefined;
  return consoleSocket === undefined
    ? { kind: "creator" }
    : { kind: "socket", path: consoleSocket };
}

/**
 * Steps that make the monitor's terminal and its standard files. Where they stand matters:
 *
 * 1. after the hooks of the container, whose output is nobody's input;
 * 2. before the device rules, which name the monitor's devices and no terminals;
 * 3. before the pivot, because the socket's path is on the host, and a detached file system can only
 *    be made with the privileges that are given up later;
 * 4. sent right after it was made, so that the caller has it before anything is written to it.
 *
 * @param user who owns the terminal
 */
export function planTerminal(process: Process, receiver: TerminalReceiver | undefined): Step[] {
  if (receiver === undefined) return [];
  const { user, consoleSize } = process;
  return [
    {
      step: "openTerminal",
      uid: user.uid,
      gid: user.gid,
      mode: TERMINAL_MODE,
      ...(consoleSize === undefined
        ? {}
        : { size: { rows: consoleSize.height, columns: consoleSize.width } }),
    },
    { step: "sendTerminal", to: receiver },
    { step: "useTerminal" },
  ];
}

function refused(subject: string, reason: string, remedy: string): InvalidConfigurationError {
  return new InvalidConfigurationError({ operation: "give a terminal", subject, reason, remedy });
}
