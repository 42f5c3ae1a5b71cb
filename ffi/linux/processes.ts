/**
 * Processes: exec, sessions, waiting for children.
 * @module
 */
import { POLLIN } from "../constants/poll.ts";
import { SYS_pidfd_open } from "../constants/syscall.ts";
import { WNOHANG } from "../constants/wait.ts";
import { checked, retried } from "../errors.ts";
import { allocate, cString, cStringVector } from "../memory.ts";
import * as sysWait from "../symbols/sys_wait.ts";
import * as raw from "../symbols/syscall.ts";
import * as unistd from "../symbols/unistd.ts";
import { close } from "./descriptors.ts";
import { pollAsync } from "./poll.ts";

/** How a process ended: one of the two. */
export interface ExitStatus {
  exitCode?: number;
  signal?: number;
}

/**
 * Replaces this program; Deno and its threads are gone. Call it on the main thread.
 *
 * @param path of the program
 * @param argv its arguments, the first being its name
 * @param env `NAME=value`
 * @throws {LinuxError}
 * @see execve(2)
 */
export function execve(path: string, argv: string[], env: string[]): never {
  const [program, args, environment] = [
    cString(path, "execve"),
    cStringVector(argv, "execve"),
    cStringVector(env, "execve"),
  ];
  checked("execve", path, () => unistd.execve(program, args, environment));
  throw new TypeError("execve returned");
}

/**
 * As `execve`, of an open file: no path leads to it.
 *
 * @param fd of the program
 * @param argv its arguments, the first being its name
 * @param env `NAME=value`
 * @throws {LinuxError}
 * @see fexecve(3); execveat(2) with AT_EMPTY_PATH
 */
export function fexecve(fd: number, argv: string[], env: string[]): never {
  const [args, environment] = [cStringVector(argv, "fexecve"), cStringVector(env, "fexecve")];
  checked("fexecve", argv[0] ?? `fd ${fd}`, () => unistd.fexecve(fd, args, environment));
  throw new TypeError("fexecve returned");
}

/**
 * @param pid of a process
 * @returns a descriptor, closed at exec, that is ready to read when the process has ended
 * @throws {LinuxError} ESRCH: no such process
 * @see pidfd_open(2)
 */
export function pidfdOpen(pid: number): number {
  return checked("pidfd_open", `pid ${pid}`, () => raw.pidfd_open(BigInt(SYS_pidfd_open), pid, 0));
}

/**
 * @param pid of a child; -1: any
 * @param options WNOHANG and the like
 * @returns how it ended; undefined with WNOHANG while it runs
 * @throws {LinuxError} ECHILD: no such child
 * @see waitpid(2)
 */
export function waitpid(pid: number, options: number): ({ pid: number } & ExitStatus) | undefined {
  const cell = allocate(4);
  const ended = retried("waitpid", `pid ${pid}`, () => sysWait.waitpid(pid, cell, options));
  if (ended === 0) return undefined;
  return { pid: ended, ...decodeStatus(new DataView(cell.buffer).getInt32(0, true)) };
}

/**
 * Waits for the child in another thread.
 *
 * @param pid of a child
 * @returns how it ended
 * @throws {LinuxError} ESRCH, ECHILD: no such child
 */
export async function waitpidAsync(pid: number): Promise<ExitStatus> {
  const pidfd = pidfdOpen(pid);
  try {
    for (;;) {
      const ended = waitpid(pid, WNOHANG);
      if (ended !== undefined) {
        const { pid: _, ...status } = ended;
        return status;
      }
      await pollAsync([{ fd: pidfd, events: POLLIN }], -1);
    }
  } finally {
    close(pidfd);
  }
}

/** @see wait(2), the macros WIFEXITED and so on; bits/waitstatus.h */
function decodeStatus(status: number): ExitStatus {
  const signal = status & 0x7f;
  return signal === 0 ? { exitCode: status >> 8 & 0xff } : { signal };
}

/**
 * @returns the new session's id, which is the caller's pid
 * @throws {LinuxError} EPERM: it leads a process group
 * @see setsid(2)
 */
export function setsid(): number {
  return checked("setsid", undefined, () => unistd.setsid());
}
