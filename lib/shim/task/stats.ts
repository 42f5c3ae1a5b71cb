import { locateCgroup } from "../../cgroups/plan.ts";
import { readStats } from "../../cgroups/stats.ts";
import type { BlockIOCount, Counter, MemoryCounter, Stats } from "../../cgroups/stats_types.ts";
import { readCgroupLayout } from "../../cgroups/layout.ts";
import {
  type Any,
  type Input,
  type MemoryStatV1,
  type MemoryStatV2,
  MetricsV1,
  MetricsV2,
  packAny,
} from "../../protocol/containerd/messages.ts";

/**
 * What a container has used, as `ctr task metrics` and docker understand it: of the version of cgroups
 * that this host has.
 *
 * @param directories of the container's cgroups
 * @throws HostError when they are in no cgroup file system
 */
export function readTaskStats(directories: string[]): Any {
  const layout = readCgroupLayout();
  const stats = readStats(locateCgroup(layout, directories));
  return Object.keys(layout.v1).length > 0
    ? packAny(MetricsV1, toMetricsV1(stats))
    : packAny(MetricsV2, toMetricsV2(stats));
}

/** @see github.com/containerd/cgroups, cgroup1: the same fields are filled */
function toMetricsV1({ cpu, memory, pids, blockIO, hugetlb }: Stats): Input<MetricsV1> {
  return {
    hugetlb: Object.entries(hugetlb).map(([pagesize, { usage, peak, failures }]) => ({
      pagesize,
      usage,
      max: peak,
      failcnt: failures,
    })),
    pids,
    cpu: {
      usage: { total: cpu.total, kernel: cpu.kernel, user: cpu.user, perCpu: cpu.perCpu },
      throttling: {
        periods: cpu.periods,
        throttledPeriods: cpu.throttledPeriods,
        throttledTime: cpu.throttledTime,
      },
    },
    memory: {
      ...pick<MemoryStatV1>(memory.raw, MEMORY_V1),
      usage: entry(memory),
      swap: entry(memory.swap),
      kernel: entry(memory.kernel),
      kernelTcp: entry(memory.kernelTcp),
    },
    memoryOomControl: { oomKill: memory.oomKills },
    blkio: {
      ioServiceBytesRecursive: blockEntries(blockIO.bytes),
      ioServicedRecursive: blockEntries(blockIO.operations),
    },
  };
}

/** @see github.com/containerd/cgroups, cgroup2: the same fields are filled */
function toMetricsV2({ cpu, memory, pids, blockIO, hugetlb }: Stats): Input<MetricsV2> {
  const { swap } = memory;
  return {
    pids,
    cpu: {
      usageUsec: micro(cpu.total),
      userUsec: micro(cpu.user),
      systemUsec: micro(cpu.kernel),
      nrPeriods: cpu.periods,
      nrThrottled: cpu.throttledPeriods,
      throttledUsec: micro(cpu.throttledTime),
    },
    memory: {
      ...pick<MemoryStatV2>(memory.raw, MEMORY_V2),
      usage: memory.usage,
      usageLimit: memory.limit,
      maxUsage: memory.peak,
      // Without the memory, which `swap` includes.
      swapUsage: swap.usage - memory.usage,
      swapLimit: swap.limit === NO_LIMIT ? NO_LIMIT : swap.limit - memory.limit,
    },
    memoryEvents: { oomKill: memory.oomKills, max: memory.failures },
    io: { usage: blockUsage(blockIO) },
    hugetlb: Object.entries(hugetlb).map(([pagesize, counter]: [string, Counter]) => ({
      pagesize,
      current: counter.usage,
      max: counter.peak,
    })),
  };
}

const NO_LIMIT = 2n ** 64n - 1n;

function entry(counter: MemoryCounter | undefined) {
  if (counter === undefined) return undefined;
  const { limit, usage, peak, failures } = counter;
  return { limit, usage, max: peak, failcnt: failures };
}

function blockEntries(counts: BlockIOCount[]) {
  return counts.map(({ major, minor, operation, count }) => ({
    op: operation,
    major,
    minor,
    value: count,
  }));
}

function blockUsage({ bytes, operations }: Stats["blockIO"]) {
  const devices = new Map<string, { major: bigint; minor: bigint } & Record<string, bigint>>();
  const fields = [[bytes, "bytes"], [operations, "ios"]] as const;
  for (const [counts, suffix] of fields) {
    for (const { major, minor, operation, count } of counts) {
      const prefix = { Read: "r", Write: "w" }[operation];
      if (prefix === undefined) continue;
      const key = `${major}:${minor}`;
      const device = devices.get(key) ?? { major, minor };
      devices.set(key, { ...device, [`${prefix}${suffix}`]: count });
    }
  }
  return [...devices.values()];
}

function micro(nanoseconds: bigint): bigint {
  return nanoseconds / 1000n;
}

/** Fields of a message from the lines of memory.stat that they are named after. */
function pick<T>(raw: Record<string, bigint>, names: Record<string, string>): Partial<T> {
  return Object.fromEntries(
    Object.entries(names).map(([field, line]) => [field, raw[line] ?? 0n]),
  ) as Partial<T>;
}

const ACTIVITY = {
  cache: "cache",
  rss: "rss",
  rssHuge: "rss_huge",
  mappedFile: "mapped_file",
  dirty: "dirty",
  writeback: "writeback",
  pgPgIn: "pgpgin",
  pgPgOut: "pgpgout",
  pgFault: "pgfault",
  pgMajFault: "pgmajfault",
  inactiveAnon: "inactive_anon",
  activeAnon: "active_anon",
  inactiveFile: "inactive_file",
  activeFile: "active_file",
  unevictable: "unevictable",
};

/** `total` and a capital: the same with the cgroups below. */
const TOTALS = Object.fromEntries(
  Object.entries(ACTIVITY).map(([field, line]) => [
    `total${field[0]!.toUpperCase()}${field.slice(1)}`,
    `total_${line}`,
  ]),
);

const MEMORY_V1: Record<string, string> = {
  ...ACTIVITY,
  ...TOTALS,
  hierarchicalMemoryLimit: "hierarchical_memory_limit",
  hierarchicalSwapLimit: "hierarchical_memsw_limit",
};

const MEMORY_V2: Record<string, string> = {
  anon: "anon",
  file: "file",
  kernelStack: "kernel_stack",
  slab: "slab",
  sock: "sock",
  shmem: "shmem",
  fileMapped: "file_mapped",
  fileDirty: "file_dirty",
  fileWriteback: "file_writeback",
  anonThp: "anon_thp",
  inactiveAnon: "inactive_anon",
  activeAnon: "active_anon",
  inactiveFile: "inactive_file",
  activeFile: "active_file",
  unevictable: "unevictable",
  slabReclaimable: "slab_reclaimable",
  slabUnreclaimable: "slab_unreclaimable",
  pgfault: "pgfault",
  pgmajfault: "pgmajfault",
  workingsetRefault: "workingset_refault_file",
  workingsetActivate: "workingset_activate_file",
  workingsetNodereclaim: "workingset_nodereclaim",
  pgrefill: "pgrefill",
  pgscan: "pgscan",
  pgsteal: "pgsteal",
  pgactivate: "pgactivate",
  pgdeactivate: "pgdeactivate",
  pglazyfree: "pglazyfree",
  pglazyfreed: "pglazyfreed",
  thpFaultAlloc: "thp_fault_alloc",
  thpCollapseAlloc: "thp_collapse_alloc",
};
