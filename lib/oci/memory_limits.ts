import { parseKernelSize } from "./kernel_size.ts";
import type { Resources } from "./types.ts";

/** A limit on a container's memory. */
export interface MemoryLimit {
  /** Below `linux.resources`. */
  property: string;
  bytes: number;
}

/**
 * The limits that a guest's memory must fit in. Above `memory.high` nothing is killed, but a process
 * that goes on allocating is throttled almost to a stop, which a guest does not survive either.
 *
 * `unified` is written after the others, so that its `memory.max` counts in place of `memory.limit`.
 *
 * @see kernel Documentation/admin-guide/cgroup-v2.rst, "Memory Interface Files"
 */
export function memoryLimits({ memory, unified }: Resources): MemoryLimit[] {
  const limits: MemoryLimit[] = [];
  const add = (property: string, bytes: number | bigint | undefined) => {
    if (bytes !== undefined) limits.push({ property, bytes: Number(bytes) });
  };
  const { "memory.max": max, "memory.high": high } = unified;
  // 0 is not a request, below 0 means unlimited.
  if (max === undefined) add("memory.limit", (memory.limit ?? 0) > 0 ? memory.limit : undefined);
  else add('unified["memory.max"]', parseKernelSize(max));
  if (high !== undefined) add('unified["memory.high"]', parseKernelSize(high));
  return limits;
}

/** The lowest of a container's memory limits; undefined when it has none. */
export function lowestMemoryLimit(resources: Resources): MemoryLimit | undefined {
  return memoryLimits(resources).reduce<MemoryLimit | undefined>(
    (lowest, limit) => lowest === undefined || limit.bytes < lowest.bytes ? limit : lowest,
    undefined,
  );
}
