import type { OutOfMemoryEvents } from "./events.ts";
import type { ShimServices } from "../daemon/services.ts";
import { after, type Timer } from "../../os/timer.ts";

/** Whoever asked for the start has been answered by then; most guests need it only later, if ever. */
const BEGIN_MILLISECONDS = 50;

/** 128 and SIGKILL. */
const KILLED = 137;

/** Services that a watch works with. */
export interface MemoryServices extends Pick<ShimServices, "reactor"> {
  log: Pick<ShimServices["log"], "error">;
}

/**
 * Tells of what the kernel killed in a container because its memory limit was reached: when it happens,
 * and when the container has ended before anybody could look.
 */
export class MemoryWatch {
  readonly #services: MemoryServices;
  readonly #directories: string[];
  readonly #tell: () => void;
  #timer?: Timer;
  #events?: OutOfMemoryEvents;
  #hasEnded = false;

  /** @param directories of the container's cgroups */
  constructor(
    services: MemoryServices,
    directories: string[],
    tell: () => void,
  ) {
    this.#services = services;
    this.#directories = directories;
    this.#tell = tell;
  }

  /** The container was started. */
  begin(): void {
    if (this.#directories.length === 0) return;
    this.#timer = after(BEGIN_MILLISECONDS, () => void this.#watch());
  }

  /**
   * The container has ended; afterwards nothing is told any more.
   *
   * @param status that it ended with
   */
  async end(status: number): Promise<void> {
    this.#timer?.cancel();
    this.#hasEnded = true;
    if (this.#events !== undefined) return this.#events.end();
    // It was never looked at; only a process that was killed is worth looking now.
    if (status !== KILLED) return;
    const { hadOutOfMemoryKill } = await import("./events.ts");
    if (hadOutOfMemoryKill(this.#directories)) this.#tell();
  }

  async #watch(): Promise<void> {
    const { OutOfMemoryEvents } = await import("./events.ts");
    if (this.#hasEnded) return;
    try {
      this.#events = new OutOfMemoryEvents(this.#services.reactor, this.#directories, this.#tell);
    } catch (error) {
      this.#services.log.error("watch the memory of a container", error);
    }
  }
}
