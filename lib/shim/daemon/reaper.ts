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

/** By then what a container left behind has ended as well, and whoever waits for the container is served. */
const SWEEP_MILLISECONDS = 500;

/** How a child ended, and when. */
export interface ChildExit extends ExitStatus {
  at: Date;
}

/**
 * Waits for children. Also for those that nobody started here: this process takes in what containers
 * leave behind, and whoever does not wait for them keeps them as zombies for ever.
 */
export class Reaper {
  readonly #reactor: Reactor;
  /** Children that somebody waits for, or is about to. */
  readonly #known = new Set<number>();
  #holds = 0;
  #sweeping?: Timer;

  constructor(reactor: Reactor) {
    this.#reactor = reactor;
  }

  /**
   * Until it is disposed of, no unknown child is waited for: somebody is about to learn the numbers of
   * some.
   */
  hold(): Disposable {
    this.#holds++;
    return { [Symbol.dispose]: () => this.#holds-- };
  }

  /** Somebody will wait for this child. */
  expect(pid: number): void {
    this.#known.add(pid);
  }

  /** Nobody will wait for it any more, or somebody has. */
  forget(pid: number): void {
    this.#known.delete(pid);
  }

  /**
   * Waits for a child. One that cannot be waited for is one that nobody knows any more.
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

  /** Whoever leaves children behind ends himself: then is the time. Nobody waits for it. */
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

  /** Waits for children that ended and that nobody knows. */
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
      // The thread has ended, or this kernel does not tell.
      return [];
    }
  });
}
