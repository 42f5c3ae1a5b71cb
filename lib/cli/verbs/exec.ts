import { kill as killProcess, SIGKILL, waitpidAsync } from "../../../ffi/linux.ts";
import { execInContainer } from "../../container/exec.ts";
import { readBundle } from "../../container/prepare.ts";
import { requireState } from "../../container/require.ts";
import { UnsupportedError, UsageError } from "../../errors.ts";
import { maximumSpecBytes, parseProcess } from "../../oci/parse.ts";
import type { Process } from "../../oci/types.ts";
import { readGiven } from "../../os/files.ts";
import { resolvePath } from "../../os/path.ts";
import { SIGNAL_EXIT_BASE } from "../../os/signals.ts";
import { terminalReceiver } from "../../plan/terminal.ts";
import { processOf } from "../exec_process.ts";
import { Forwarding } from "../forwarding.ts";
import type { CommandOf } from "../parser/commands.ts";
import type { Context } from "../context.ts";
import { writePidFile } from "../pid_file.ts";
import { TerminalRelay } from "../terminal.ts";

/** Signals that are passed on to the process. */
const FORWARDED: Deno.Signal[] = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2"];

/** `urunc exec`. Returns the process's exit code; 0 when it is not waited for. */
export async function exec(command: CommandOf<"exec">, context: Context): Promise<number> {
  refusePreservedFds(command);
  const process = readProcess(command, context);
  const { consoleSocket, detach } = command;
  const receiver = terminalReceiver(process, {
    consoleSocket: consoleSocket && resolvePath(Deno.cwd(), consoleSocket),
    detached: detach,
  });
  const { store, configuration } = context;
  const request = { store, id: command.id, process, configuration, terminal: receiver };
  const { pid, terminal } = await execInContainer(request);
  recordPid(command.pidFile, pid);
  return detach ? 0 : await follow(pid, terminal);
}

/** Passes on signals, and what is typed, until it exits. */
async function follow(pid: number, terminal: number | undefined): Promise<number> {
  // Until the terminal is restored no signal ends us.
  using forwarding = new Forwarding(pid, FORWARDED);
  const relay = terminal === undefined ? undefined : new TerminalRelay(terminal);
  try {
    const ended = await waitpidAsync(pid);
    if (relay !== undefined) await Promise.race([relay.ended, forwarding.late]);
    return ended.signal === undefined ? ended.exitCode! : SIGNAL_EXIT_BASE + ended.signal;
  } finally {
    relay?.restore();
  }
}

function readProcess(command: CommandOf<"exec">, { store }: Context): Process {
  const { id, process, rest } = command;
  if (process !== undefined) {
    const bytes = readGiven(process, maximumSpecBytes, { operation: "read process" });
    return parseProcess(new TextDecoder().decode(bytes));
  }
  if (rest.length === 0) {
    throw new UsageError({
      operation: "parse command line",
      subject: "exec",
      reason: "it needs COMMAND, or --process",
      remedy: "see urunc exec --help",
    });
  }
  const { bundle } = requireState(store.open(id));
  return processOf(readBundle(bundle).spec.process, command);
}

/** When that is impossible, nobody could wait for the process. */
function recordPid(path: string | undefined, pid: number): void {
  if (path === undefined) return;
  try {
    writePidFile(path, pid, "the process was not kept");
  } catch (error) {
    killProcess(pid, SIGKILL);
    throw error;
  }
}

function refusePreservedFds({ preserveFds }: CommandOf<"exec">): void {
  if (preserveFds === 0) return;
  throw new UnsupportedError({
    operation: "parse command line",
    subject: "--preserve-fds",
    reason: "file descriptors cannot be passed to a guest",
  });
}
