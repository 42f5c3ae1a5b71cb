import {
  close,
  EPOLLIN,
  kill,
  LinuxError,
  O_RDWR,
  open,
  pipe,
  read,
  SIGKILL,
  SIGTERM,
} from "../../../ffi/linux.ts";
import { formatError, HostError } from "../../errors.ts";
import { spawnProgram } from "../../os/programs.ts";
import type { ShimServices } from "../daemon/services.ts";
import { endsWithin } from "./ends_within.ts";

/** How long a logging program may take to signal that it is ready. */
const READY_MILLISECONDS = 30_000;

/** How long it may take to end when there is nothing more to read; then it gets SIGTERM. */
const FINISH_MILLISECONDS = 2000;

/** How long after SIGTERM it may take, as with containerd's own shim (pkg/process/io.go). */
const TERMINATE_MILLISECONDS = 12_000;

/** A program in the place of a file: containerd's `binary:///path?name=value`. */
export interface LoggerCommand {
  path: string;
  args: string[];
}

/**
 * The command in a logging URI. Each name in its query is an argument, and its value the next.
 *
 * @throws HostError when it names no absolute path
 * @see containerd, pkg/process/io.go, NewBinaryCmd
 */
export function parseLoggerUri(uri: string): LoggerCommand {
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  const path = url === undefined || url.host !== "" ? "" : decodePath(url);
  if (!path.startsWith("/") || path.includes("\0")) {
    throw new HostError({
      operation: "start the logging program",
      subject: uri,
      reason: "found no absolute path in it",
      remedy: "write binary:///path/of/the/program?name=value",
    });
  }
  // The first value of a name counts, as in Go's url.Values.
  const names = [...new Set(url!.searchParams.keys())];
  return { path, args: names.flatMap((name) => [name, url!.searchParams.get(name)!]) };
}

/** @returns the empty string when what follows a % is not an encoded character */
function decodePath({ pathname }: URL): string {
  try {
    return decodeURIComponent(pathname);
  } catch {
    return "";
  }
}

/** Services that a logging program is started with. */
export interface LoggerServices extends Pick<ShimServices, "namespace" | "reactor" | "reaper"> {
  log: Pick<ShimServices["log"], "warning">;
}

/**
 * A running logging program. It reads the container's standard output from descriptor 3, its errors
 * from 4, and closes 5 when it is ready; it finds out about the container from its environment.
 *
 * @see containerd, core/runtime/v2/README.md, "Logging", and pkg/process/io.go, NewBinaryIO
 */
export class Logger {
  /** For the container; its user closes it. */
  readonly stdout: number;
  readonly stderr: number;
  readonly #pid: number;
  readonly #ended: Promise<void>;
  /** As long as they are open, a program that is gone stops the container and does not end it. */
  #readers: number[];
  #hasEnded = false;

  private constructor(
    pid: number,
    ended: Promise<void>,
    pipes: { readers: number[]; stdout: number; stderr: number },
  ) {
    this.#pid = pid;
    this.stdout = pipes.stdout;
    this.stderr = pipes.stderr;
    this.#readers = pipes.readers;
    this.#ended = ended.finally(() => this.#hasEnded = true);
  }

  /**
   * Starts one and waits until it is ready.
   *
   * @param uri `binary://…`
   * @param id of the container, or of the process added to it
   * @throws HostError; it does not run then
   */
  static async start(uri: string, id: string, services: LoggerServices): Promise<Logger> {
    const { path, args } = parseLoggerUri(uri);
    const [outReader, stdout] = pipe();
    const [errReader, stderr] = pipe();
    const [ready, isReady] = pipe();
    const nothing = open("/dev/null", O_RDWR);
    let logger: Logger | undefined;
    try {
      const pid = spawnProgram({
        path,
        argv: [path, ...args],
        env: [`CONTAINER_ID=${id}`, `CONTAINER_NAMESPACE=${services.namespace}`],
        fds: [nothing, nothing, nothing, outReader, errReader, isReady]
          .map((from, to) => ({ from, to })),
      });
      const ended = services.reaper.wait(pid).then(({ exitCode, signal }) => {
        if (exitCode === 0) return;
        const how = signal === undefined ? `exit code ${exitCode}` : `signal ${signal}`;
        services.log.warning(`${id}: its logging program ${path} ended with ${how}`);
      }).catch((error) => {
        // A handler may not be registered yet.
        services.log.warning(`${id}: wait for its logging program ${path}: ${formatError(error)}`);
      });
      logger = new Logger(pid, ended, { readers: [outReader, errReader], stdout, stderr });
      close(isReady);
      await becomesReady(ready, services);
      return logger;
    } catch (error) {
      [stdout, stderr].forEach(close);
      if (logger !== undefined) logger.close();
      else [outReader, errReader, isReady].forEach(close);
      if (error instanceof HostError) throw error;
      throw new HostError({
        operation: "start the logging program",
        subject: path,
        reason: error instanceof LinuxError ? error.message : String(error),
        cause: error,
      });
    } finally {
      close(ready);
      close(nothing);
    }
  }

  /** Lets it read the rest, now that there is no writer any more, and waits for its exit. */
  async finish(): Promise<void> {
    if (await endsWithin(this.#ended, FINISH_MILLISECONDS)) return;
    this.#signal(SIGTERM);
    if (await endsWithin(this.#ended, TERMINATE_MILLISECONDS)) return;
    this.#signal(SIGKILL);
  }

  /** Ends it if it still runs. May be called twice. */
  close(): void {
    this.#readers.forEach(close);
    this.#readers = [];
    this.#signal(SIGTERM);
  }

  #signal(signal: number): void {
    // Its number is its own until it was waited for, which is when it has ended.
    if (!this.#hasEnded) kill(this.#pid, signal);
  }
}

/** Ready means that it wrote anything, or closed its end. */
async function becomesReady(fd: number, { reactor }: LoggerServices): Promise<void> {
  const signalled = new Promise<void>((resolve) =>
    reactor.add(fd, EPOLLIN, () => {
      read(fd, new Uint8Array(1));
      resolve();
    })
  );
  try {
    if (await endsWithin(signalled, READY_MILLISECONDS)) return;
  } finally {
    reactor.remove(fd);
  }
  throw new HostError({
    operation: "start the logging program",
    reason: `it was not ready within ${READY_MILLISECONDS / 1000} s`,
    remedy: "it is to close its descriptor 5 when it is",
  });
}
