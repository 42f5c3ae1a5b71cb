import { embedded, message, repeated, string, uint64 } from "../protobuf/schema.ts";
import type { MessageOf } from "../protobuf/types.ts";

/**
 * The figures of a container, for cgroup v2: what `ctr task metrics` and `docker stats` read.
 *
 * @see github.com/containerd/cgroups, `cgroup2/stats/metrics.proto`
 * @module
 */

const PidsStatV2 = message("io.containerd.cgroups.v2.PidsStat", () => ({
  current: uint64(1),
  limit: uint64(2),
}));

const CPUStatV2 = message("io.containerd.cgroups.v2.CPUStat", () => ({
  usageUsec: uint64(1),
  userUsec: uint64(2),
  systemUsec: uint64(3),
  nrPeriods: uint64(4),
  nrThrottled: uint64(5),
  throttledUsec: uint64(6),
}));

export const MemoryStatV2 = message("io.containerd.cgroups.v2.MemoryStat", () => ({
  anon: uint64(1),
  file: uint64(2),
  kernelStack: uint64(3),
  slab: uint64(4),
  sock: uint64(5),
  shmem: uint64(6),
  fileMapped: uint64(7),
  fileDirty: uint64(8),
  fileWriteback: uint64(9),
  anonThp: uint64(10),
  inactiveAnon: uint64(11),
  activeAnon: uint64(12),
  inactiveFile: uint64(13),
  activeFile: uint64(14),
  unevictable: uint64(15),
  slabReclaimable: uint64(16),
  slabUnreclaimable: uint64(17),
  pgfault: uint64(18),
  pgmajfault: uint64(19),
  workingsetRefault: uint64(20),
  workingsetActivate: uint64(21),
  workingsetNodereclaim: uint64(22),
  pgrefill: uint64(23),
  pgscan: uint64(24),
  pgsteal: uint64(25),
  pgactivate: uint64(26),
  pgdeactivate: uint64(27),
  pglazyfree: uint64(28),
  pglazyfreed: uint64(29),
  thpFaultAlloc: uint64(30),
  thpCollapseAlloc: uint64(31),
  usage: uint64(32),
  usageLimit: uint64(33),
  swapUsage: uint64(34),
  swapLimit: uint64(35),
  maxUsage: uint64(36),
}));
export type MemoryStatV2 = MessageOf<typeof MemoryStatV2>;

const MemoryEventsV2 = message("io.containerd.cgroups.v2.MemoryEvents", () => ({
  max: uint64(3),
  oomKill: uint64(5),
}));

const IOStatV2 = message("io.containerd.cgroups.v2.IOStat", () => ({
  usage: repeated(embedded(1, IOEntryV2)),
}));

const IOEntryV2 = message("io.containerd.cgroups.v2.IOEntry", () => ({
  major: uint64(1),
  minor: uint64(2),
  rbytes: uint64(3),
  wbytes: uint64(4),
  rios: uint64(5),
  wios: uint64(6),
}));

const HugeTlbStatV2 = message("io.containerd.cgroups.v2.HugeTlbStat", () => ({
  current: uint64(1),
  max: uint64(2),
  pagesize: string(3),
}));

export const MetricsV2 = message("io.containerd.cgroups.v2.Metrics", () => ({
  pids: embedded(1, PidsStatV2),
  cpu: embedded(2, CPUStatV2),
  memory: embedded(4, MemoryStatV2),
  io: embedded(6, IOStatV2),
  hugetlb: repeated(embedded(7, HugeTlbStatV2)),
  memoryEvents: embedded(8, MemoryEventsV2),
}));
export type MetricsV2 = MessageOf<typeof MetricsV2>;
