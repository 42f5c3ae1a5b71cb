import type { OutOfMemoryEvents } from "./events.ts";
import type { Task } from "../task/task.ts";
import type { ShimServices } from "../daemon/services.ts";
import { after, type Timer } from "../../os/timer.ts";

/** By then the start has been answered; most guests need the watch only later, if ever. */
const BEGIN_MILLISECONDS = 50;

/** 128 and SIGKILL. */
const KILLED = 137;

/** What is asked of a task. */
type Watched = Pick<Task, "cgroupPaths" | "ranOutOfMemory">;

/** Services that a watch works with. */
export interface MemoryServices extends Pick<ShimServices, "reactor"> {
  log: Pick<ShimServices["log"], "error">;
}

/**
 * Reports each process that the kernel killed in a container because its memory limit was reached: when
 * it happens, and when the container has ended before the watch began. A guest's kernel has the guest's memory
 * for a limit, and is asked at the end.
 */
export class MemoryWatch {
  readonly #services: MemoryServices;
  readonly #task: Watched;
  readonly #directories: string[];
  readonly #report: () => void;
  #timer?: Timer;
  #events?: OutOfMemoryEvents;
  #hasEnded = false;

  constructor(services: MemoryServices, task: Watched, report: () => void) {
    this.#services = services;
    this.#task = task;
    this.#directories = task.cgroupPaths();
    this.#report = report;
  }

  /** The container was started. */
  begin(): void {
    if (this.#directories.length === 0) return;
    this.#timer = after(BEGIN_MILLISECONDS, () => void this.#watch());
  }

  /**
   * The container has ended; afterwards nothing is reported any more.
   *
   * @param status that it ended with
   */
  async end(status: number): Promise<void> {
    this.#timer?.cancel();
    this.#hasEnded = true;
    // Only a process that was killed is worth the looks.
    if (status === KILLED && await this.#task.ranOutOfMemory?.()) this.#report();
    if (this.#events !== undefined) return this.#events.end();
    // It was never watched.
    if (status !== KILLED) return;
    const { countOutOfMemoryKills } = await import("./events.ts");
    const kills = countOutOfMemoryKills(this.#directories);
    for (let reported = 0n; reported < kills; reported++) this.#report();
  }

  async #watch(): Promise<void> {
    const { OutOfMemoryEvents } = await import("./events.ts");
    if (this.#hasEnded) return;
    const failed = (error: unknown) =>
      this.#services.log.error("watch the memory of a container", error);
    try {
      this.#events = new OutOfMemoryEvents({
        reactor: this.#services.reactor,
        directories: this.#directories,
        report: this.#report,
        failed,
      });
    } catch (error) {
      failed(error);
    }
  }
}
