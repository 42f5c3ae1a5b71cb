import { InvalidConfigurationError } from "../errors.ts";
import type { Process } from "../oci/types.ts";
import type { Step, TerminalReceiver } from "./types.ts";

/** Only the monitor can use the terminal: it has the only descriptor, and there is no path to it. */
const TERMINAL_MODE = 0o600;

/** Who receives a terminal's master, and whether the command waits for the guest. */
export interface TerminalRequest {
  /** `--console-socket`. */
  consoleSocket?: string;
  /** True for `create` and `run --detach`. */
  detached: boolean;
}

/**
 * Who receives the terminal's master; undefined when config.json asks for no terminal. As runc decides.
 *
 * @throws InvalidConfigurationError when there is no receiver, when there is no terminal to send, and
 *   when a socket is given although the command uses the terminal itself
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
      "config.json asks for a terminal, and there is no receiver for it",
      "set --console-socket to a listening socket, or use `urunc run` without --detach",
    );
  }
  if (!terminal) return undefined;
  return consoleSocket === undefined
    ? { kind: "creator" }
    : { kind: "socket", path: consoleSocket };
}

/**
 * Steps that open the monitor's terminal as its standard files. Their place matters:
 *
 * 1. after the container's hooks, so that their output does not go there;
 * 2. before the device rules, which allow the monitor's devices and no terminals;
 * 3. before the pivot, because the socket's path is on the host, and a detached file system can only
 *    be made with the privileges that are given up later;
 * 4. sent as soon as it is open, so that the caller has it before anything is written to it.
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
