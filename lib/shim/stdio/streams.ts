import {
  close,
  fstat,
  LinuxError,
  O_APPEND,
  O_CREAT,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  open,
  pipe,
  S_IFIFO,
  S_IFMT,
  S_IFREG,
} from "../../../ffi/linux.ts";
import { HostError, UnsupportedError } from "../../errors.ts";
import { delay } from "../../os/timer.ts";

/** Standard files as a request names them: empty, a path, or a logging URI. */
export interface TaskIo {
  stdin: string;
  stdout: string;
  stderr: string;
  terminal: boolean;
}

/** An output, opened. */
export interface Output {
  /** For the writer, its own and blocking. */
  writer: number;
  /**
   * The other end of a fifo: as long as it is open, what was written stays, and a writer does not get
   * EPIPE, whether or not there is a reader. It is never read from.
   */
  keeper?: number;
}

/** An input, opened. */
export interface Input {
  reader: number;
  /** The other end of a fifo: the input ends when it is closed, and those of others are. */
  keeper?: number;
}

/** How long a client may take to open its end of an output. */
const READER_MILLISECONDS = 1000;

/**
 * Waits until outputs that are fifos have a reader. A client opens its ends while it asks for the
 * container, and gives up what it has not opened when the container has exited: the output of a short one
 * would be lost. containerd's own shim waits as well, in open(2) (fifo(7)).
 *
 * @param targets as for `openOutput`
 * @returns descriptors that keep each fifo from ending until it was opened for good; to be closed then
 */
export async function awaitReaders(targets: string[]): Promise<number[]> {
  const deadline = performance.now() + READER_MILLISECONDS;
  const held: number[] = [];
  for (const target of targets) {
    if (!isFifoPath(target)) continue;
    let fd = openIfRead(target);
    while (fd === undefined && performance.now() < deadline) {
      await delay(1);
      fd = openIfRead(target);
    }
    if (fd !== undefined) held.push(fd);
  }
  return held;
}

/** Undefined when it has no reader and none is about to open it. */
function openIfRead(path: string): number | undefined {
  try {
    return open(path, O_WRONLY | O_NONBLOCK);
  } catch {
    // ENXIO; or what openOutput will say.
    return undefined;
  }
}

function isFifoPath(path: string): boolean {
  try {
    return path.startsWith("/") && Deno.statSync(path).isFifo === true;
  } catch {
    return false;
  }
}

/** Whether a program takes the output: `binary://…`. */
export function isLoggingProgram(target: string): boolean {
  return /^binary:/i.test(target);
}

/**
 * Opens what a container writes to.
 *
 * @param target empty: nothing keeps it; a path of a fifo or file; `file:///path`
 * @throws UnsupportedError for another scheme; HostError
 */
export function openOutput(target: string): Output {
  if (target === "") return { writer: open("/dev/null", O_WRONLY) };
  const path = logPath(target);
  if (path !== undefined) {
    makeParents(path);
    return { writer: open(path, O_WRONLY | O_APPEND | O_CREAT, 0o644) };
  }
  return opening(target, () => {
    const keeper = open(target, O_RDONLY | O_NONBLOCK);
    if (!isFifo(keeper)) {
      close(keeper);
      return { writer: open(target, O_WRONLY | O_APPEND) };
    }
    return { writer: closingOnError([keeper], () => open(target, O_WRONLY)), keeper };
  });
}

/**
 * Opens what a container reads from.
 *
 * @param source empty: nothing; a path
 * @throws HostError
 */
export function openInput(source: string): Input {
  if (source === "") return { reader: open("/dev/null", O_RDONLY) };
  return opening(source, () => {
    // Neither end of a fifo can be opened alone without waiting for the other.
    const both = open(source, O_RDWR | O_NONBLOCK);
    try {
      const reader = open(source, O_RDONLY);
      if (!isFifo(reader)) return { reader };
      return {
        reader,
        keeper: closingOnError([reader], () => open(source, O_WRONLY | O_NONBLOCK)),
      };
    } finally {
      close(both);
    }
  });
}

/**
 * Whether a container's output has to be copied. It gets a fifo itself; but with an open file it could
 * do more than append to it.
 */
export function isCopied(output: Output): boolean {
  return output.keeper === undefined && (fstat(output.writer).mode & S_IFMT) === S_IFREG;
}

/** A pipe through which an output is copied. */
export function copyingPipe(): { reader: number; writer: number } {
  const [reader, writer] = pipe();
  return { reader, writer };
}

/** The path in `file:///path`; undefined when it is not a URI. */
function logPath(target: string): string | undefined {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(target)?.[1];
  if (scheme === undefined) return undefined;
  const url = new URL(target);
  if (scheme === "file" && url.host === "") return decodeURIComponent(url.pathname);
  throw new UnsupportedError({
    operation: "open the container's output",
    subject: target,
    reason: `logging by ${scheme}:// is not supported`,
    remedy: "use a fifo, file:///path, or binary:///path for standard output",
  });
}

function makeParents(path: string): void {
  Deno.mkdirSync(path.slice(0, path.lastIndexOf("/") + 1), { recursive: true, mode: 0o755 });
}

function isFifo(fd: number): boolean {
  return (fstat(fd).mode & S_IFMT) === S_IFIFO;
}

function closingOnError<T>(fds: number[], action: () => T): T {
  try {
    return action();
  } catch (error) {
    fds.forEach(close);
    throw error;
  }
}

function opening<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof LinuxError)) throw error;
    throw new HostError({
      operation: "open the container's standard file",
      subject: path,
      reason: error.message,
      remedy: "its caller makes it before it creates the task",
      cause: error,
    });
  }
}
