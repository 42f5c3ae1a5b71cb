import {
  close,
  EPOLLIN,
  type ExitStatus,
  LinuxError,
  pidfdOpen,
  waitpid,
  WNOHANG,
} from "../../../ffi/linux.ts";
import { readProcessStat } from "../../os/process.ts";
import { after, type Timer } from "../../os/timer.ts";
import type { Reactor } from "./reactor.ts";

/** By then what a container left behind has exited as well, and waiters for the container are served. */
const SWEEP_MILLISECONDS = 500;

/** How a child ended, and when. */
export interface ChildExit extends ExitStatus {
  at: Date;
}

/**
 * Waits for children. Also for those that were not started here: this process adopts what containers
 * leave behind, which would stay zombies for ever.
 */
export class Reaper {
  readonly #reactor: Reactor;
  /** Children with a waiter, or about to get one. */
  readonly #known = new Set<number>();
  #holds = 0;
  #sweeping?: Timer;

  constructor(reactor: Reactor) {
    this.#reactor = reactor;
  }

  /**
   * Until it is disposed of, no unknown child is reaped: a caller is about to learn the pids of
   * some.
   */
  hold(): Disposable {
    this.#holds++;
    return { [Symbol.dispose]: () => this.#holds-- };
  }

  /** This child will be waited for. */
  expect(pid: number): void {
    this.#known.add(pid);
  }

  /** It will not be waited for any more, or was. */
  forget(pid: number): void {
    this.#known.delete(pid);
  }

  /**
   * Waits for a child. One that cannot be waited for is reaped with the unknown ones.
   *
   * @throws LinuxError ESRCH, ECHILD: no such child; EMFILE and others
   */
  wait(pid: number): Promise<ChildExit> {
    this.expect(pid);
    let pidfd: number | undefined;
    const finish = () => {
      if (pidfd !== undefined) close(pidfd);
      this.forget(pid);
      this.#sweepSoon();
    };
    return new Promise((resolve, reject) => {
      try {
        const fd = pidfd = pidfdOpen(pid);
        this.#reactor.add(fd, EPOLLIN, () => {
          try {
            const ended = waitpid(pid, WNOHANG);
            if (ended === undefined) return;
            resolve({ exitCode: ended.exitCode, signal: ended.signal, at: new Date() });
          } catch (error) {
            reject(error);
          }
          this.#reactor.remove(fd);
          finish();
        });
      } catch (error) {
        finish();
        reject(error);
      }
    });
  }

  /** Children are left behind when their parent exits: then is the time. Not awaited. */
  #sweepSoon(): void {
    this.#sweeping ??= after(SWEEP_MILLISECONDS, () => {
      this.#sweeping = undefined;
      if (this.#holds > 0) return this.#sweepSoon();
      try {
        this.#sweep();
      } catch {
        // No descriptor is left, say. They stay zombies until the next sweep.
      }
    });
  }

  /** Reaps unknown children that have exited. */
  #sweep(): void {
    for (const pid of children()) {
      if (this.#known.has(pid) || readProcessStat(pid)?.state !== "Z") continue;
      try {
        waitpid(pid, WNOHANG);
      } catch (error) {
        if (!(error instanceof LinuxError && error.code === "ECHILD")) throw error;
      }
    }
  }
}

/** @see proc_pid_task_tid_children(5): a thread's own children */
function children(): number[] {
  const threads = [...Deno.readDirSync("/proc/self/task")].map(({ name }) => name);
  return threads.flatMap((thread) => {
    try {
      return Deno.readTextFileSync(`/proc/self/task/${thread}/children`).split(" ")
        .map(Number).filter((pid) => pid > 0);
    } catch {
      // The thread has exited, or this kernel does not report it.
      return [];
    }
  });
}
