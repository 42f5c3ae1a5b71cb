import { close, flock, LOCK_EX, O_DIRECTORY, O_RDONLY, open } from "../../../ffi/linux.ts";
import { after, type Timer } from "../../os/timer.ts";
import { SOCKET_DIRECTORY } from "../command/group.ts";
import { removeIfThere } from "../../os/files.ts";

/**
 * How long a shim that serves a whole namespace stays without a task: the next one does not wait for it
 * to boot. Milliseconds.
 */
const IDLE_MILLISECONDS = 30_000;

/** How long after it was given the address containerd may still create a task here. Milliseconds. */
const GRACE_MILLISECONDS = 5000;

/** What decides how long a shim lives. */
export interface LifetimeOptions {
  /** It serves a whole namespace of containerd. */
  shared: boolean;
  /** Where it listens. */
  socket: string | undefined;
  /** No task exists or is being created. */
  isIdle(): boolean;
}

/** When a shim exits: without tasks, asked by containerd, and when its address is no longer in use. */
export class Lifetime {
  /** Settles when the shim is to end. */
  readonly ended: Promise<void>;
  readonly #options: LifetimeOptions;
  #end!: () => void;
  #timer?: Timer;
  #isRetired = false;

  constructor(options: LifetimeOptions) {
    this.#options = options;
    this.ended = new Promise((resolve) => this.#end = resolve);
  }

  /** containerd asked it to exit; it has no task now. */
  shutdown(): void {
    if (this.#isRetired) {
      this.#end();
    } else if (!this.#options.shared) {
      this.#retire();
      this.#end();
    } else {
      this.#timer?.cancel();
      this.#timer = after(IDLE_MILLISECONDS, () => this.#leave());
    }
  }

  /** A client that got the address just before may still connect. */
  #leave(): void {
    // Another task was created; its exit asks again.
    if (!this.#options.isIdle()) return;
    this.#retire();
    this.#timer = after(GRACE_MILLISECONDS, () => {
      if (this.#options.isIdle()) this.#end();
    });
  }

  /** From now on `start` finds no shim here. */
  #retire(): void {
    this.#isRetired = true;
    const { socket } = this.#options;
    if (socket === undefined) return;
    // As in start.ts: no client is between finding the socket and connecting to it.
    const lock = open(SOCKET_DIRECTORY, O_RDONLY | O_DIRECTORY);
    try {
      flock(lock, LOCK_EX);
      removeIfThere(socket);
    } finally {
      close(lock);
    }
  }
}
