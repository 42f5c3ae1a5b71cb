import { close, kill, LinuxError, SIGKILL, waitpid, WNOHANG } from "../../../ffi/linux.ts";
import { prepareMove } from "../../cgroups/prepare_move.ts";
import type { Observer } from "../../launch/observer.ts";
import { type SpawnedInit, spawnInit } from "../../launch/spawn.ts";
import type { PidNamespace } from "../../plan/namespaces.ts";
import { after } from "../../os/timer.ts";
import type { Reaper } from "./reaper.ts";

/** Nearly every container has a PID namespace of its own. */
const USUAL: PidNamespace = { kind: "new" };

/** By then the monitor of a task that was just created has begun. */
const PREPARE_MILLISECONDS = 25;

/**
 * Init processes that are started ahead of use, so that a task does not wait for one to
 * boot. They have done nothing, know nothing, and end by themselves when this process does.
 */
export class WarmInit {
  readonly #observer: Observer;
  readonly #reaper: Reaper;
  #init?: SpawnedInit;

  constructor(observer: Observer, reaper: Reaper) {
    this.#observer = observer;
    this.#reaper = reaper;
  }

  /** Starts one, unless one waits already. */
  prepare(): void {
    if (this.#init === undefined) this.adopt(this.#spawn(USUAL));
  }

  /** As `prepare`, once the task that took the last one is served; without one when it cannot be started. */
  prepareSoon(): void {
    after(PREPARE_MILLISECONDS, () => {
      try {
        this.prepare();
      } catch {
        // The task that needs one tries again, and reports the error.
      }
    });
  }

  /** Keeps one that was started already. */
  adopt(init: SpawnedInit): void {
    this.#init = { ...this.#expect(init), moving: prepareMove(init.pid) };
  }

  /** As `spawnInit`, and uses the waiting one where it fits; its `moving` comes along. */
  take(pidNamespace: PidNamespace, terminal?: number): SpawnedInit {
    const init = this.#init;
    if (init === undefined || pidNamespace.kind !== USUAL.kind || terminal !== undefined) {
      return this.#spawn(pidNamespace, terminal);
    }
    this.#init = undefined;
    if (isRunning(init.pid)) {
      // One that was moving when it was started, a while ago, would wait again.
      return { ...init, moving: Promise.all([init.moving, prepareMove(init.pid)]).then(() => {}) };
    }
    this.#reaper.forget(init.pid);
    return this.#spawn(pidNamespace);
  }

  /** Ends the waiting one. */
  drop(): void {
    const init = this.#init;
    this.#init = undefined;
    if (init === undefined) return;
    close(init.channel.fd);
    kill(init.pid, SIGKILL);
    // Not waited for: the reaper reaps unknown children. Until it was moved its pid must not
    // become another process's.
    void init.moving?.then(() => this.#reaper.forget(init.pid));
  }

  #spawn(pidNamespace: PidNamespace, terminal?: number): SpawnedInit {
    return this.#expect(spawnInit(pidNamespace, this.#observer, terminal));
  }

  /** Its user waits for it: the task, or the creation that fails. */
  #expect(init: SpawnedInit): SpawnedInit {
    this.#reaper.expect(init.pid);
    return { ...init, reaped: () => this.#reaper.forget(init.pid) };
  }
}

/** False, and waited for, when it has ended. */
function isRunning(pid: number): boolean {
  try {
    return waitpid(pid, WNOHANG) === undefined;
  } catch (error) {
    if (error instanceof LinuxError && error.code === "ECHILD") return false;
    throw error;
  }
}
