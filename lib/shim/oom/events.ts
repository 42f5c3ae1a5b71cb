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
import { type CgroupPlan, locateCgroup, v1Directory } from "../../cgroups/plan.ts";
import { readOomKills } from "../../cgroups/stats.ts";
import { readCgroupLayout } from "../../cgroups/layout.ts";
import type { Reactor } from "../daemon/reactor.ts";

/** More than memory.events has. Bytes. */
const EVENTS_SIZE = 4096;

/**
 * Whether the kernel has killed a process of a container because its memory limit was reached.
 *
 * @param directories of the container's cgroups
 */
export function hadOutOfMemoryKill(directories: string[]): boolean {
  try {
    return (readOomKills(locateCgroup(readCgroupLayout(), directories)) ?? 0n) > 0n;
  } catch {
    // They are gone already: then nobody can tell.
    return false;
  }
}

/**
 * Hears from the kernel that a container has met its memory limit, through the reactor: an eventfd
 * that version 1 adds to, or version 2's memory.events, which becomes ready when it changes.
 *
 * @see kernel Documentation/admin-guide/cgroup-v1/memory.rst, "OOM Control", and cgroup-v2.rst,
 *   "memory.events"
 */
export class OutOfMemoryEvents {
  readonly #reactor: Reactor;
  readonly #plan: CgroupPlan;
  readonly #tell: () => void;
  /** Which of the two. */
  readonly #version: 1 | 2;
  /** Undefined once it is closed, or where nobody counts memory. */
  #fd?: number;
  #told = 0n;

  /**
   * @param directories of the container's cgroups
   * @throws HostError, LinuxError or an error of Deno when they cannot be watched
   */
  constructor(reactor: Reactor, directories: string[], tell: () => void) {
    this.#reactor = reactor;
    this.#tell = tell;
    this.#plan = locateCgroup(readCgroupLayout(), directories);
    const v1 = v1Directory(this.#plan, "memory");
    this.#version = v1 === undefined ? 2 : 1;
    const fd = v1 === undefined ? openEvents(this.#plan.v2?.directory) : registerEvents(v1);
    if (fd === undefined) return;
    try {
      reactor.add(fd, v1 === undefined ? EPOLLPRI : EPOLLIN, () => this.#look());
    } catch (error) {
      close(fd);
      throw error;
    }
    this.#fd = fd;
    try {
      // What happened before; and the kernel tells of changes since the last reading.
      this.#look();
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  /** Tells what has not been told, and closes everything. */
  end(): void {
    try {
      this.#look();
      // Version 1 tells before it kills, and version 2 may have counted since.
      if ((readOomKills(this.#plan) ?? 0n) > 0n && this.#told === 0n) this.#tell();
    } finally {
      this.#close();
    }
  }

  #look(): void {
    if (this.#fd === undefined) return;
    const happened = this.#version === 1 ? this.#takeCount() : this.#takeKills();
    if (happened === undefined) return this.#close();
    if (happened === 0n) return;
    this.#told += happened;
    this.#tell();
  }

  /** How often version 1 has met the limit since the last look; undefined: the cgroup is gone. */
  #takeCount(): bigint | undefined {
    // The kernel also adds to the counter when it removes the cgroup.
    if (readOomKills(this.#plan) === undefined) return undefined;
    const counter = new Uint8Array(8);
    if (unlessItWaits(() => read(this.#fd!, counter)) === undefined) return 0n;
    return new DataView(counter.buffer).getBigUint64(0, true);
  }

  /** How many more version 2 has killed; undefined: the cgroup is gone. */
  #takeKills(): bigint | undefined {
    const bytes = new Uint8Array(EVENTS_SIZE);
    try {
      lseek(this.#fd!, 0, SEEK_SET);
      const text = new TextDecoder().decode(bytes.subarray(0, read(this.#fd!, bytes)));
      return BigInt(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0) - this.#told;
    } catch (error) {
      if (error instanceof LinuxError && error.code === "ENODEV") return undefined;
      throw error;
    }
  }

  #close(): void {
    if (this.#fd === undefined) return;
    this.#reactor.remove(this.#fd);
    close(this.#fd);
    this.#fd = undefined;
  }
}

/** Version 2's file; undefined where the memory controller is not. */
function openEvents(directory: string | undefined): number | undefined {
  try {
    return open(`${directory}/memory.events`, O_RDONLY);
  } catch (error) {
    if (error instanceof LinuxError && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** Version 1's counter. */
function registerEvents(directory: string): number {
  const counter = eventfd();
  try {
    const control = open(`${directory}/memory.oom_control`, O_RDONLY);
    try {
      Deno.writeTextFileSync(`${directory}/cgroup.event_control`, `${counter} ${control}`, {
        create: false,
      });
    } finally {
      close(control);
    }
    return counter;
  } catch (error) {
    close(counter);
    throw error;
  }
}
