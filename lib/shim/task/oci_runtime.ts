import {
  close,
  LinuxError,
  lseek,
  memfdCreate,
  MFD_CLOEXEC,
  O_RDONLY,
  open,
  read,
  SEEK_END,
  SEEK_SET,
  writeAll,
} from "../../../ffi/linux.ts";
import { callersEnvironment } from "../../runc/environment.ts";
import { UruncError } from "../../errors.ts";
import { spawnProgram } from "../../os/programs.ts";
import type { Stdio } from "../../launch/stdio.ts";
import { debug, since } from "../../watch.ts";
import type { Reaper } from "../daemon/reaper.ts";
import { removeIfThere } from "../../os/files.ts";

/** As much of a runtime's output as is read: a list of processes, at most. Bytes. */
const MAXIMUM_OUTPUT = 4 * 1024 * 1024;

/** How an OCI runtime is called. */
export interface OciRuntimeOptions {
  /** Absolute path of the program. */
  program: string;
  /** Its state directory. */
  root: string;
  /** Directory for its logs; the last error in one is what went wrong. */
  logs: string;
  systemdCgroup: boolean;
}

/** An OCI runtime's command line, as containerd's own shim calls it. */
export class OciRuntime {
  readonly #options: OciRuntimeOptions;
  readonly #reaper: Reaper;

  constructor(options: OciRuntimeOptions, reaper: Reaper) {
    this.#options = options;
    this.#reaper = reaper;
  }

  /**
   * Runs a command to its end. What it leaves running becomes a child of this process.
   *
   * @param args command and arguments
   * @param stdio of the command, and of what it leaves running; its output is read when not given
   * @param input for its standard input
   * @returns what it wrote to standard output
   * @throws UruncError with the runtime's own message
   */
  async run(args: string[], stdio?: Stdio, input = new Uint8Array()): Promise<string> {
    const { program, root, logs, systemdCgroup } = this.#options;
    // Several commands may run concurrently.
    const log = `${logs}/runtime-${counter++}.log`;
    const files = stdio === undefined ? new CapturedFiles(input) : undefined;
    const [stdin, stdout, stderr] = stdio ?? files!.stdio;
    const began = performance.now();
    try {
      const pid = spawnProgram({
        path: program,
        argv: [
          program,
          "--root",
          root,
          "--log",
          log,
          "--log-format",
          "json",
          ...(systemdCgroup ? ["--systemd-cgroup"] : []),
          ...args,
        ],
        env: runtimeEnvironment(),
        fds: [{ from: stdin, to: 0 }, { from: stdout, to: 1 }, { from: stderr, to: 2 }],
      });
      debug(`${program} ${args[0]} started`, { pid });
      const { exitCode, signal } = await this.#reaper.wait(pid);
      debug(`${program} ${args[0]} exited`, { ms: since(began), exit: exitCode, signal });
      if (exitCode === 0) return files?.output() ?? "";
      const end = signal === undefined ? `exit code ${exitCode}` : `killed by signal ${signal}`;
      throw new UruncError({
        operation: `${program} ${args[0]}`,
        reason: lastError(log) ?? (files?.errors() || end),
      });
    } finally {
      files?.close();
      removeIfThere(log);
    }
  }

  /**
   * Deletes a container, running or not, if there is one.
   *
   * @throws UruncError with the runtime's own message
   */
  async deleteIfThere(id: string): Promise<void> {
    try {
      await this.run(["delete", "--force", id]);
    } catch (error) {
      if (!isNothingThere(error)) throw error;
    }
  }
}

/**
 * containerd's, but for the socket by which systemd hears that containerd is ready: runc would wait for the
 * container to say so, by a socket of its own whose path is too long for a pod's container.
 *
 * @see sd_notify(3)
 */
function runtimeEnvironment(): string[] {
  return callersEnvironment().filter((entry) => !entry.startsWith("NOTIFY_SOCKET="));
}

/** What runtimes say of a container that there is not, when they mind. */
const NOTHING_THERE = /container\b.*\b(does not exist|not found)|no such container/i;

/** Also a program that is not there has made nothing. */
function isNothingThere(error: unknown): boolean {
  return error instanceof LinuxError
    ? error.code === "ENOENT"
    : error instanceof UruncError && NOTHING_THERE.test(error.message);
}

let counter = 0;

/** Standard files in memory: no side ever waits for the other. */
class CapturedFiles {
  readonly stdio: Stdio;

  constructor(input: Uint8Array) {
    const stdin = input.length === 0 ? open("/dev/null", O_RDONLY) : memfd("stdin");
    if (input.length > 0) {
      writeAll(stdin, input);
      lseek(stdin, 0, SEEK_SET);
    }
    this.stdio = [stdin, memfd("stdout"), memfd("stderr")];
  }

  output(): string {
    return readBack(this.stdio[1]);
  }

  errors(): string {
    return readBack(this.stdio[2]).trim();
  }

  close(): void {
    this.stdio.forEach(close);
  }
}

function memfd(name: string): number {
  return memfdCreate(`runtime-${name}`, MFD_CLOEXEC);
}

function readBack(fd: number): string {
  const size = Math.min(lseek(fd, 0, SEEK_END), MAXIMUM_OUTPUT);
  lseek(fd, 0, SEEK_SET);
  if (size === 0) return "";
  const buffer = new Uint8Array(size);
  return new TextDecoder().decode(buffer.subarray(0, read(fd, buffer)));
}

/** The last error in a runtime's JSON log. */
function lastError(log: string): string | undefined {
  let text: string;
  try {
    text = Deno.readTextFileSync(log);
  } catch {
    return undefined;
  }
  for (const line of text.trimEnd().split("\n").reverse()) {
    try {
      const { level, msg } = JSON.parse(line);
      if ((level === "error" || level === "fatal") && typeof msg === "string") return msg;
    } catch {
      // Not a JSON line: not the runtime's.
    }
  }
  return undefined;
}
