import type { Resources } from "./types.ts";

/** The period of a quota that names none, in microseconds: kernel/sched/core.c, default_cfs_period. */
const DEFAULT_PERIOD = 100_000;

/**
 * How many processors a container may use: its quota of them, rounded up, or those of its cpuset, whichever
 * is fewer. What `unified` says counts in place of the other.
 *
 * @returns undefined when there is no limit
 * @see kernel Documentation/admin-guide/cgroup-v2.rst, "CPU Interface Files" and "Cpuset Interface Files"
 */
export function processorLimit({ cpu, unified }: Resources): number | undefined {
  const { "cpu.max": max, "cpuset.cpus": set = cpu.cpus } = unified;
  const ofQuota = max === undefined ? quotaOf(cpu.quota, cpu.period) : quotaOfMax(max);
  const limits = [ofQuota, sizeOfSet(set ?? "")].filter((it) => it !== undefined);
  return limits.length === 0 ? undefined : Math.min(...limits);
}

/** @param quota in microseconds; none, 0 and below are no limit */
function quotaOf(quota = 0, period = 0): number | undefined {
  return quota > 0 ? Math.ceil(quota / (period > 0 ? period : DEFAULT_PERIOD)) : undefined;
}

/** `MAX PERIOD`, where MAX may be `max`; what else it may be only the kernel can judge. */
function quotaOfMax(text: string): number | undefined {
  const [, max, period] = /^\s*(\d{1,20})(?:\s+(\d{1,20}))?\s*$/.exec(text) ?? [];
  return max === undefined ? undefined : quotaOf(Number(max), Number(period ?? 0));
}

/** `0-3,7`: cpuset(7), "List format". */
function sizeOfSet(list: string): number | undefined {
  const numbers = new Set<number>();
  for (const part of list.split(",")) {
    const [, first, last = first] = /^\s*(\d{1,5})(?:-(\d{1,5}))?\s*$/.exec(part) ?? [];
    if (first === undefined) continue;
    for (let number = Number(first); number <= Number(last); number++) numbers.add(number);
  }
  return numbers.size === 0 ? undefined : numbers.size;
}
