import { field, message, type MessageType } from "../protobuf/schema.ts";

/**
 * The figures of a container, for cgroup v1: what `ctr task metrics` and `docker stats` read.
 *
 * @see github.com/containerd/cgroups, `cgroup1/stats/metrics.proto`
 * @module
 */

export interface HugetlbStatV1 {
  usage: bigint;
  max: bigint;
  failcnt: bigint;
  pagesize: string;
}
export const HugetlbStatV1: MessageType<HugetlbStatV1> = message(
  "io.containerd.cgroups.v1.HugetlbStat",
  () => ({
    usage: field.uint64(1),
    max: field.uint64(2),
    failcnt: field.uint64(3),
    pagesize: field.string(4),
  }),
);
export const { encode: encodeHugetlbStatV1, decode: decodeHugetlbStatV1 } = HugetlbStatV1;

export interface PidsStatV1 {
  current: bigint;
  limit: bigint;
}
export const PidsStatV1: MessageType<PidsStatV1> = message(
  "io.containerd.cgroups.v1.PidsStat",
  () => ({
    current: field.uint64(1),
    limit: field.uint64(2),
  }),
);
export const { encode: encodePidsStatV1, decode: decodePidsStatV1 } = PidsStatV1;

export interface CPUStatV1 {
  usage?: CPUUsageV1;
  throttling?: ThrottleV1;
}
export const CPUStatV1: MessageType<CPUStatV1> = message(
  "io.containerd.cgroups.v1.CPUStat",
  () => ({
    usage: field.message(1, CPUUsageV1),
    throttling: field.message(2, ThrottleV1),
  }),
);
export const { encode: encodeCPUStatV1, decode: decodeCPUStatV1 } = CPUStatV1;

export interface CPUUsageV1 {
  total: bigint;
  kernel: bigint;
  user: bigint;
  perCpu: bigint[];
}
export const CPUUsageV1: MessageType<CPUUsageV1> = message(
  "io.containerd.cgroups.v1.CPUUsage",
  () => ({
    total: field.uint64(1),
    kernel: field.uint64(2),
    user: field.uint64(3),
    perCpu: field.repeated(field.uint64(4)),
  }),
);
export const { encode: encodeCPUUsageV1, decode: decodeCPUUsageV1 } = CPUUsageV1;

export interface ThrottleV1 {
  periods: bigint;
  throttledPeriods: bigint;
  throttledTime: bigint;
}
export const ThrottleV1: MessageType<ThrottleV1> = message(
  "io.containerd.cgroups.v1.Throttle",
  () => ({
    periods: field.uint64(1),
    throttledPeriods: field.uint64(2),
    throttledTime: field.uint64(3),
  }),
);
export const { encode: encodeThrottleV1, decode: decodeThrottleV1 } = ThrottleV1;

export interface MemoryStatV1 {
  cache: bigint;
  rss: bigint;
  rssHuge: bigint;
  mappedFile: bigint;
  dirty: bigint;
  writeback: bigint;
  pgPgIn: bigint;
  pgPgOut: bigint;
  pgFault: bigint;
  pgMajFault: bigint;
  inactiveAnon: bigint;
  activeAnon: bigint;
  inactiveFile: bigint;
  activeFile: bigint;
  unevictable: bigint;
  hierarchicalMemoryLimit: bigint;
  hierarchicalSwapLimit: bigint;
  totalCache: bigint;
  totalRss: bigint;
  totalRssHuge: bigint;
  totalMappedFile: bigint;
  totalDirty: bigint;
  totalWriteback: bigint;
  totalPgPgIn: bigint;
  totalPgPgOut: bigint;
  totalPgFault: bigint;
  totalPgMajFault: bigint;
  totalInactiveAnon: bigint;
  totalActiveAnon: bigint;
  totalInactiveFile: bigint;
  totalActiveFile: bigint;
  totalUnevictable: bigint;
  usage?: MemoryEntryV1;
  swap?: MemoryEntryV1;
  kernel?: MemoryEntryV1;
  kernelTcp?: MemoryEntryV1;
}
export const MemoryStatV1: MessageType<MemoryStatV1> = message(
  "io.containerd.cgroups.v1.MemoryStat",
  () => ({
    cache: field.uint64(1),
    rss: field.uint64(2),
    rssHuge: field.uint64(3),
    mappedFile: field.uint64(4),
    dirty: field.uint64(5),
    writeback: field.uint64(6),
    pgPgIn: field.uint64(7),
    pgPgOut: field.uint64(8),
    pgFault: field.uint64(9),
    pgMajFault: field.uint64(10),
    inactiveAnon: field.uint64(11),
    activeAnon: field.uint64(12),
    inactiveFile: field.uint64(13),
    activeFile: field.uint64(14),
    unevictable: field.uint64(15),
    hierarchicalMemoryLimit: field.uint64(16),
    hierarchicalSwapLimit: field.uint64(17),
    totalCache: field.uint64(18),
    totalRss: field.uint64(19),
    totalRssHuge: field.uint64(20),
    totalMappedFile: field.uint64(21),
    totalDirty: field.uint64(22),
    totalWriteback: field.uint64(23),
    totalPgPgIn: field.uint64(24),
    totalPgPgOut: field.uint64(25),
    totalPgFault: field.uint64(26),
    totalPgMajFault: field.uint64(27),
    totalInactiveAnon: field.uint64(28),
    totalActiveAnon: field.uint64(29),
    totalInactiveFile: field.uint64(30),
    totalActiveFile: field.uint64(31),
    totalUnevictable: field.uint64(32),
    usage: field.message(33, MemoryEntryV1),
    swap: field.message(34, MemoryEntryV1),
    kernel: field.message(35, MemoryEntryV1),
    kernelTcp: field.message(36, MemoryEntryV1),
  }),
);
export const { encode: encodeMemoryStatV1, decode: decodeMemoryStatV1 } = MemoryStatV1;

export interface MemoryEntryV1 {
  limit: bigint;
  usage: bigint;
  max: bigint;
  failcnt: bigint;
}
export const MemoryEntryV1: MessageType<MemoryEntryV1> = message(
  "io.containerd.cgroups.v1.MemoryEntry",
  () => ({
    limit: field.uint64(1),
    usage: field.uint64(2),
    max: field.uint64(3),
    failcnt: field.uint64(4),
  }),
);
export const { encode: encodeMemoryEntryV1, decode: decodeMemoryEntryV1 } = MemoryEntryV1;

export interface MemoryOomControlV1 {
  oomKillDisable: bigint;
  underOom: bigint;
  oomKill: bigint;
}
export const MemoryOomControlV1: MessageType<MemoryOomControlV1> = message(
  "io.containerd.cgroups.v1.MemoryOomControl",
  () => ({
    oomKillDisable: field.uint64(1),
    underOom: field.uint64(2),
    oomKill: field.uint64(3),
  }),
);
export const { encode: encodeMemoryOomControlV1, decode: decodeMemoryOomControlV1 } =
  MemoryOomControlV1;

export interface BlkIOStatV1 {
  ioServiceBytesRecursive: BlkIOEntryV1[];
  ioServicedRecursive: BlkIOEntryV1[];
  ioQueuedRecursive: BlkIOEntryV1[];
  ioServiceTimeRecursive: BlkIOEntryV1[];
  ioWaitTimeRecursive: BlkIOEntryV1[];
  ioMergedRecursive: BlkIOEntryV1[];
  ioTimeRecursive: BlkIOEntryV1[];
  sectorsRecursive: BlkIOEntryV1[];
}
export const BlkIOStatV1: MessageType<BlkIOStatV1> = message(
  "io.containerd.cgroups.v1.BlkIOStat",
  () => ({
    ioServiceBytesRecursive: field.repeated(field.message(1, BlkIOEntryV1)),
    ioServicedRecursive: field.repeated(field.message(2, BlkIOEntryV1)),
    ioQueuedRecursive: field.repeated(field.message(3, BlkIOEntryV1)),
    ioServiceTimeRecursive: field.repeated(field.message(4, BlkIOEntryV1)),
    ioWaitTimeRecursive: field.repeated(field.message(5, BlkIOEntryV1)),
    ioMergedRecursive: field.repeated(field.message(6, BlkIOEntryV1)),
    ioTimeRecursive: field.repeated(field.message(7, BlkIOEntryV1)),
    sectorsRecursive: field.repeated(field.message(8, BlkIOEntryV1)),
  }),
);
export const { encode: encodeBlkIOStatV1, decode: decodeBlkIOStatV1 } = BlkIOStatV1;

export interface BlkIOEntryV1 {
  op: string;
  device: string;
  major: bigint;
  minor: bigint;
  value: bigint;
}
export const BlkIOEntryV1: MessageType<BlkIOEntryV1> = message(
  "io.containerd.cgroups.v1.BlkIOEntry",
  () => ({
    op: field.string(1),
    device: field.string(2),
    major: field.uint64(3),
    minor: field.uint64(4),
    value: field.uint64(5),
  }),
);
export const { encode: encodeBlkIOEntryV1, decode: decodeBlkIOEntryV1 } = BlkIOEntryV1;

export interface RdmaStatV1 {
  current: RdmaEntryV1[];
  limit: RdmaEntryV1[];
}
export const RdmaStatV1: MessageType<RdmaStatV1> = message(
  "io.containerd.cgroups.v1.RdmaStat",
  () => ({
    current: field.repeated(field.message(1, RdmaEntryV1)),
    limit: field.repeated(field.message(2, RdmaEntryV1)),
  }),
);
export const { encode: encodeRdmaStatV1, decode: decodeRdmaStatV1 } = RdmaStatV1;

export interface RdmaEntryV1 {
  device: string;
  hcaHandles: number;
  hcaObjects: number;
}
export const RdmaEntryV1: MessageType<RdmaEntryV1> = message(
  "io.containerd.cgroups.v1.RdmaEntry",
  () => ({
    device: field.string(1),
    hcaHandles: field.uint32(2),
    hcaObjects: field.uint32(3),
  }),
);
export const { encode: encodeRdmaEntryV1, decode: decodeRdmaEntryV1 } = RdmaEntryV1;

export interface NetworkStatV1 {
  name: string;
  rxBytes: bigint;
  rxPackets: bigint;
  rxErrors: bigint;
  rxDropped: bigint;
  txBytes: bigint;
  txPackets: bigint;
  txErrors: bigint;
  txDropped: bigint;
}
export const NetworkStatV1: MessageType<NetworkStatV1> = message(
  "io.containerd.cgroups.v1.NetworkStat",
  () => ({
    name: field.string(1),
    rxBytes: field.uint64(2),
    rxPackets: field.uint64(3),
    rxErrors: field.uint64(4),
    rxDropped: field.uint64(5),
    txBytes: field.uint64(6),
    txPackets: field.uint64(7),
    txErrors: field.uint64(8),
    txDropped: field.uint64(9),
  }),
);
export const { encode: encodeNetworkStatV1, decode: decodeNetworkStatV1 } = NetworkStatV1;

export interface CgroupStatsV1 {
  nrSleeping: bigint;
  nrRunning: bigint;
  nrStopped: bigint;
  nrUninterruptible: bigint;
  nrIoWait: bigint;
}
export const CgroupStatsV1: MessageType<CgroupStatsV1> = message(
  "io.containerd.cgroups.v1.CgroupStats",
  () => ({
    nrSleeping: field.uint64(1),
    nrRunning: field.uint64(2),
    nrStopped: field.uint64(3),
    nrUninterruptible: field.uint64(4),
    nrIoWait: field.uint64(5),
  }),
);
export const { encode: encodeCgroupStatsV1, decode: decodeCgroupStatsV1 } = CgroupStatsV1;

export interface MetricsV1 {
  hugetlb: HugetlbStatV1[];
  pids?: PidsStatV1;
  cpu?: CPUStatV1;
  memory?: MemoryStatV1;
  blkio?: BlkIOStatV1;
  rdma?: RdmaStatV1;
  network: NetworkStatV1[];
  cgroupStats?: CgroupStatsV1;
  memoryOomControl?: MemoryOomControlV1;
}
export const MetricsV1: MessageType<MetricsV1> = message(
  "io.containerd.cgroups.v1.Metrics",
  () => ({
    hugetlb: field.repeated(field.message(1, HugetlbStatV1)),
    pids: field.message(2, PidsStatV1),
    cpu: field.message(3, CPUStatV1),
    memory: field.message(4, MemoryStatV1),
    blkio: field.message(5, BlkIOStatV1),
    rdma: field.message(6, RdmaStatV1),
    network: field.repeated(field.message(7, NetworkStatV1)),
    cgroupStats: field.message(8, CgroupStatsV1),
    memoryOomControl: field.message(9, MemoryOomControlV1),
  }),
);
export const { encode: encodeMetricsV1, decode: decodeMetricsV1 } = MetricsV1;
