import { embedded, message, repeated, string, uint64 } from "../protobuf/schema.ts";
import type { MessageOf } from "../protobuf/types.ts";

/**
 * The figures of a container, for cgroup v1: what `ctr task metrics` and `docker stats` read.
 *
 * @see github.com/containerd/cgroups, `cgroup1/stats/metrics.proto`
 * @module
 */

const HugetlbStatV1 = message("io.containerd.cgroups.v1.HugetlbStat", () => ({
  usage: uint64(1),
  max: uint64(2),
  failcnt: uint64(3),
  pagesize: string(4),
}));

const PidsStatV1 = message("io.containerd.cgroups.v1.PidsStat", () => ({
  current: uint64(1),
  limit: uint64(2),
}));

const CPUStatV1 = message("io.containerd.cgroups.v1.CPUStat", () => ({
  usage: embedded(1, CPUUsageV1),
  throttling: embedded(2, ThrottleV1),
}));

const CPUUsageV1 = message("io.containerd.cgroups.v1.CPUUsage", () => ({
  total: uint64(1),
  kernel: uint64(2),
  user: uint64(3),
  perCpu: repeated(uint64(4)),
}));

const ThrottleV1 = message("io.containerd.cgroups.v1.Throttle", () => ({
  periods: uint64(1),
  throttledPeriods: uint64(2),
  throttledTime: uint64(3),
}));

export const MemoryStatV1 = message("io.containerd.cgroups.v1.MemoryStat", () => ({
  cache: uint64(1),
  rss: uint64(2),
  rssHuge: uint64(3),
  mappedFile: uint64(4),
  dirty: uint64(5),
  writeback: uint64(6),
  pgPgIn: uint64(7),
  pgPgOut: uint64(8),
  pgFault: uint64(9),
  pgMajFault: uint64(10),
  inactiveAnon: uint64(11),
  activeAnon: uint64(12),
  inactiveFile: uint64(13),
  activeFile: uint64(14),
  unevictable: uint64(15),
  hierarchicalMemoryLimit: uint64(16),
  hierarchicalSwapLimit: uint64(17),
  totalCache: uint64(18),
  totalRss: uint64(19),
  totalRssHuge: uint64(20),
  totalMappedFile: uint64(21),
  totalDirty: uint64(22),
  totalWriteback: uint64(23),
  totalPgPgIn: uint64(24),
  totalPgPgOut: uint64(25),
  totalPgFault: uint64(26),
  totalPgMajFault: uint64(27),
  totalInactiveAnon: uint64(28),
  totalActiveAnon: uint64(29),
  totalInactiveFile: uint64(30),
  totalActiveFile: uint64(31),
  totalUnevictable: uint64(32),
  usage: embedded(33, MemoryEntryV1),
  swap: embedded(34, MemoryEntryV1),
  kernel: embedded(35, MemoryEntryV1),
  kernelTcp: embedded(36, MemoryEntryV1),
}));
export type MemoryStatV1 = MessageOf<typeof MemoryStatV1>;

const MemoryEntryV1 = message("io.containerd.cgroups.v1.MemoryEntry", () => ({
  limit: uint64(1),
  usage: uint64(2),
  max: uint64(3),
  failcnt: uint64(4),
}));

const MemoryOomControlV1 = message("io.containerd.cgroups.v1.MemoryOomControl", () => ({
  oomKill: uint64(3),
}));

const BlkIOStatV1 = message("io.containerd.cgroups.v1.BlkIOStat", () => ({
  ioServiceBytesRecursive: repeated(embedded(1, BlkIOEntryV1)),
  ioServicedRecursive: repeated(embedded(2, BlkIOEntryV1)),
}));

const BlkIOEntryV1 = message("io.containerd.cgroups.v1.BlkIOEntry", () => ({
  op: string(1),
  major: uint64(3),
  minor: uint64(4),
  value: uint64(5),
}));

export const MetricsV1 = message("io.containerd.cgroups.v1.Metrics", () => ({
  hugetlb: repeated(embedded(1, HugetlbStatV1)),
  pids: embedded(2, PidsStatV1),
  cpu: embedded(3, CPUStatV1),
  memory: embedded(4, MemoryStatV1),
  blkio: embedded(5, BlkIOStatV1),
  memoryOomControl: embedded(9, MemoryOomControlV1),
}));
export type MetricsV1 = MessageOf<typeof MetricsV1>;
