import {
  close,
  EPOLLIN,
  EPOLLPRI,
  eventfd,
  LinuxError,
  lseek,
  O_RDONLY,
  open,
  read,
  SEEK_SET,
  unlessItWaits,
} from "../../../ffi/linux.ts";
import { locateCgroup, v1Directory } from "../../cgroups/plan.ts";
import { readOomKills } from "../../cgroups/stats.ts";
import { readCgroupLayout } from "../../cgroups/layout.ts";
import { after, type Timer } from "../../os/timer.ts";
import type { Reactor } from "../daemon/reactor.ts";

/** More than memory.oom_control and memory.events have. Bytes. */
const COUNT_FILE_SIZE = 4096;

/**
 * How many processes of a container the kernel has killed because its memory limit was reached.
 *
 * @param directories of the container's cgroups
 * @returns 0n, too, when they are gone: the count is lost then
 */
export function countOutOfMemoryKills(directories: string[]): bigint {
  try {
    return readOomKills(locateCgroup(readCgroupLayout(), directories)) ?? 0n;
  } catch {
    return 0n;
  }
}

/**
 * Version 1 signals that a limit was met, and kills a moment later, if at all: the count is read again
 * after so many milliseconds, each time twice as many. A kill that takes longer than the 5 s that this
 * lasts, on a machine that is that busy, is reported with the next one, or when the container ends.
 *
 * @see mem_cgroup_oom_notify in the kernel's mm/memcontrol-v1.c, which runs before the victim is chosen
 */
const READ_AGAIN = { first: 5, last: 2560 };

/** The kernel's count of OOM kills in a container, and its listeners. */
export interface OutOfMemoryOptions {
  reactor: Reactor;
  /** The container's cgroups. */
  directories: string[];
  /** Called once for each kill. */
  report: () => void;
  /** Called when the count cannot be read any more, for another reason than that the cgroup is gone. */
  failed: (error: unknown) => void;
}

/**
 * Reports each process that the kernel kills because a container's memory limit was reached: what the
 * kernel counts as `oom_kill`, in version 1's memory.oom_control and in version 2's memory.events. When
 * to read the count it says through the reactor: version 2's file becomes ready when it changes, version
 * 1 adds to an eventfd when the limit is met, be it the container's or that of a cgroup above it.
 *
 * @see kernel Documentation/admin-guide/cgroup-v1/memory.rst, "OOM Control", and cgroup-v2.rst,
 *   "memory.events"
 */
export class OutOfMemoryEvents {
  readonly #options: OutOfMemoryOptions;
  /** The file with the count, and what becomes ready. Undefined once closed, or without a controller. */
  #files?: { count: number; ready: number };
  #reported = 0n;
  #timer?: Timer;

  /**
   * Reports what happened before, too.
   *
   * @throws HostError, LinuxError or an error of Deno when they cannot be watched
   */
  constructor(options: OutOfMemoryOptions) {
    this.#options = options;
    const plan = locateCgroup(readCgroupLayout(), options.directories);
    const v1 = v1Directory(plan, "memory");
    this.#files = v1 === undefined ? openV2(plan.v2?.directory) : openV1(v1);
    if (this.#files === undefined) return;
    try {
      const { ready } = this.#files;
      if (v1 === undefined) options.reactor.add(ready, EPOLLPRI, () => this.#reportKills());
      else options.reactor.add(ready, EPOLLIN, () => this.#expectKills(ready));
      // Version 2 becomes ready by what changes after the first reading.
      this.#reportKills();
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  /** Reports what has not been reported, and closes everything. */
  end(): void {
    try {
      this.#reportKills();
    } finally {
      this.#close();
    }
  }

  /** Version 1: the limit was met. */
  #expectKills(ready: number): void {
    unlessItWaits(() => read(ready, new Uint8Array(8)));
    this.#reportKills();
    this.#readAgain(READ_AGAIN.first);
  }

  #readAgain(milliseconds: number): void {
    this.#timer?.cancel();
    if (this.#files === undefined || milliseconds > READ_AGAIN.last) return;
    this.#timer = after(milliseconds, () => {
      try {
        this.#reportKills();
        this.#readAgain(2 * milliseconds);
      } catch (error) {
        this.#close();
        this.#options.failed(error);
      }
    });
  }

  #reportKills(): void {
    if (this.#files === undefined) return;
    const kills = readCount(this.#files.count);
    if (kills === undefined) return this.#close();
    while (this.#reported < kills) {
      this.#reported++;
      this.#options.report();
    }
  }

  #close(): void {
    this.#timer?.cancel();
    if (this.#files === undefined) return;
    const { count, ready } = this.#files;
    this.#files = undefined;
    this.#options.reactor.remove(ready);
    close(count);
    if (ready !== count) close(ready);
  }
}

/** The kernel's count of kills; undefined: the cgroup is gone. */
function readCount(fd: number): bigint | undefined {
  const bytes = new Uint8Array(COUNT_FILE_SIZE);
  try {
    lseek(fd, 0, SEEK_SET);
    const text = new TextDecoder().decode(bytes.subarray(0, read(fd, bytes)));
    return BigInt(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
  } catch (error) {
    if (error instanceof LinuxError && error.code === "ENODEV") return undefined;
    throw error;
  }
}

/** Undefined where the memory controller is not. */
function openV2(directory: string | undefined): { count: number; ready: number } | undefined {
  try {
    const events = open(`${directory}/memory.events`, O_RDONLY);
    return { count: events, ready: events };
  } catch (error) {
    if (error instanceof LinuxError && error.code === "ENOENT") return undefined;
    throw error;
  }
}

function openV1(directory: string): { count: number; ready: number } {
  const count = open(`${directory}/memory.oom_control`, O_RDONLY);
  try {
    return { count, ready: registerEvents(directory, count) };
  } catch (error) {
    close(count);
    throw error;
  }
}

/** An eventfd that version 1 adds to when the limit is met, and when the cgroup is removed. */
function registerEvents(directory: string, control: number): number {
  const counter = eventfd();
  try {
    Deno.writeTextFileSync(`${directory}/cgroup.event_control`, `${counter} ${control}`, {
      create: false,
    });
    return counter;
  } catch (error) {
    close(counter);
    throw error;
  }
}
