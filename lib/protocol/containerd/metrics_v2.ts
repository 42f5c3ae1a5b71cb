import { field, message, type MessageType } from "../protobuf/schema.ts";

/**
 * The figures of a container, for cgroup v2: what `ctr task metrics` and `docker stats` read.
 *
 * @see github.com/containerd/cgroups, `cgroup2/stats/metrics.proto`
 * @module
 */

export interface PSIDataV2 {
  avg10: number;
  avg60: number;
  avg300: number;
  total: bigint;
}
export const PSIDataV2: MessageType<PSIDataV2> = message(
  "io.containerd.cgroups.v2.PSIData",
  () => ({
    avg10: field.double(1),
    avg60: field.double(2),
    avg300: field.double(3),
    total: field.uint64(4),
  }),
);
export const { encode: encodePSIDataV2, decode: decodePSIDataV2 } = PSIDataV2;

export interface PSIStatsV2 {
  some?: PSIDataV2;
  full?: PSIDataV2;
}
export const PSIStatsV2: MessageType<PSIStatsV2> = message(
  "io.containerd.cgroups.v2.PSIStats",
  () => ({
    some: field.message(1, PSIDataV2),
    full: field.message(2, PSIDataV2),
  }),
);
export const { encode: encodePSIStatsV2, decode: decodePSIStatsV2 } = PSIStatsV2;

export interface PidsStatV2 {
  current: bigint;
  limit: bigint;
}
export const PidsStatV2: MessageType<PidsStatV2> = message(
  "io.containerd.cgroups.v2.PidsStat",
  () => ({
    current: field.uint64(1),
    limit: field.uint64(2),
  }),
);
export const { encode: encodePidsStatV2, decode: decodePidsStatV2 } = PidsStatV2;

export interface CPUStatV2 {
  usageUsec: bigint;
  userUsec: bigint;
  systemUsec: bigint;
  nrPeriods: bigint;
  nrThrottled: bigint;
  throttledUsec: bigint;
  psi?: PSIStatsV2;
}
export const CPUStatV2: MessageType<CPUStatV2> = message(
  "io.containerd.cgroups.v2.CPUStat",
  () => ({
    usageUsec: field.uint64(1),
    userUsec: field.uint64(2),
    systemUsec: field.uint64(3),
    nrPeriods: field.uint64(4),
    nrThrottled: field.uint64(5),
    throttledUsec: field.uint64(6),
    psi: field.message(7, PSIStatsV2),
  }),
);
export const { encode: encodeCPUStatV2, decode: decodeCPUStatV2 } = CPUStatV2;

export interface MemoryStatV2 {
  anon: bigint;
  file: bigint;
  kernelStack: bigint;
  slab: bigint;
  sock: bigint;
  shmem: bigint;
  fileMapped: bigint;
  fileDirty: bigint;
  fileWriteback: bigint;
  anonThp: bigint;
  inactiveAnon: bigint;
  activeAnon: bigint;
  inactiveFile: bigint;
  activeFile: bigint;
  unevictable: bigint;
  slabReclaimable: bigint;
  slabUnreclaimable: bigint;
  pgfault: bigint;
  pgmajfault: bigint;
  workingsetRefault: bigint;
  workingsetActivate: bigint;
  workingsetNodereclaim: bigint;
  pgrefill: bigint;
  pgscan: bigint;
  pgsteal: bigint;
  pgactivate: bigint;
  pgdeactivate: bigint;
  pglazyfree: bigint;
  pglazyfreed: bigint;
  thpFaultAlloc: bigint;
  thpCollapseAlloc: bigint;
  usage: bigint;
  usageLimit: bigint;
  swapUsage: bigint;
  swapLimit: bigint;
  maxUsage: bigint;
  swapMaxUsage: bigint;
  psi?: PSIStatsV2;
}
export const MemoryStatV2: MessageType<MemoryStatV2> = message(
  "io.containerd.cgroups.v2.MemoryStat",
  () => ({
    anon: field.uint64(1),
    file: field.uint64(2),
    kernelStack: field.uint64(3),
    slab: field.uint64(4),
    sock: field.uint64(5),
    shmem: field.uint64(6),
    fileMapped: field.uint64(7),
    fileDirty: field.uint64(8),
    fileWriteback: field.uint64(9),
    anonThp: field.uint64(10),
    inactiveAnon: field.uint64(11),
    activeAnon: field.uint64(12),
    inactiveFile: field.uint64(13),
    activeFile: field.uint64(14),
    unevictable: field.uint64(15),
    slabReclaimable: field.uint64(16),
    slabUnreclaimable: field.uint64(17),
    pgfault: field.uint64(18),
    pgmajfault: field.uint64(19),
    workingsetRefault: field.uint64(20),
    workingsetActivate: field.uint64(21),
    workingsetNodereclaim: field.uint64(22),
    pgrefill: field.uint64(23),
    pgscan: field.uint64(24),
    pgsteal: field.uint64(25),
    pgactivate: field.uint64(26),
    pgdeactivate: field.uint64(27),
    pglazyfree: field.uint64(28),
    pglazyfreed: field.uint64(29),
    thpFaultAlloc: field.uint64(30),
    thpCollapseAlloc: field.uint64(31),
    usage: field.uint64(32),
    usageLimit: field.uint64(33),
    swapUsage: field.uint64(34),
    swapLimit: field.uint64(35),
    maxUsage: field.uint64(36),
    swapMaxUsage: field.uint64(37),
    psi: field.message(38, PSIStatsV2),
  }),
);
export const { encode: encodeMemoryStatV2, decode: decodeMemoryStatV2 } = MemoryStatV2;

export interface MemoryEventsV2 {
  low: bigint;
  high: bigint;
  max: bigint;
  oom: bigint;
  oomKill: bigint;
}
export const MemoryEventsV2: MessageType<MemoryEventsV2> = message(
  "io.containerd.cgroups.v2.MemoryEvents",
  () => ({
    low: field.uint64(1),
    high: field.uint64(2),
    max: field.uint64(3),
    oom: field.uint64(4),
    oomKill: field.uint64(5),
  }),
);
export const { encode: encodeMemoryEventsV2, decode: decodeMemoryEventsV2 } = MemoryEventsV2;

export interface RdmaStatV2 {
  current: RdmaEntryV2[];
  limit: RdmaEntryV2[];
}
export const RdmaStatV2: MessageType<RdmaStatV2> = message(
  "io.containerd.cgroups.v2.RdmaStat",
  () => ({
    current: field.repeated(field.message(1, RdmaEntryV2)),
    limit: field.repeated(field.message(2, RdmaEntryV2)),
  }),
);
export const { encode: encodeRdmaStatV2, decode: decodeRdmaStatV2 } = RdmaStatV2;

export interface RdmaEntryV2 {
  device: string;
  hcaHandles: number;
  hcaObjects: number;
}
export const RdmaEntryV2: MessageType<RdmaEntryV2> = message(
  "io.containerd.cgroups.v2.RdmaEntry",
  () => ({
    device: field.string(1),
    hcaHandles: field.uint32(2),
    hcaObjects: field.uint32(3),
  }),
);
export const { encode: encodeRdmaEntryV2, decode: decodeRdmaEntryV2 } = RdmaEntryV2;

export interface IOStatV2 {
  usage: IOEntryV2[];
  psi?: PSIStatsV2;
}
export const IOStatV2: MessageType<IOStatV2> = message("io.containerd.cgroups.v2.IOStat", () => ({
  usage: field.repeated(field.message(1, IOEntryV2)),
  psi: field.message(2, PSIStatsV2),
}));
export const { encode: encodeIOStatV2, decode: decodeIOStatV2 } = IOStatV2;

export interface IOEntryV2 {
  major: bigint;
  minor: bigint;
  rbytes: bigint;
  wbytes: bigint;
  rios: bigint;
  wios: bigint;
}
export const IOEntryV2: MessageType<IOEntryV2> = message(
  "io.containerd.cgroups.v2.IOEntry",
  () => ({
    major: field.uint64(1),
    minor: field.uint64(2),
    rbytes: field.uint64(3),
    wbytes: field.uint64(4),
    rios: field.uint64(5),
    wios: field.uint64(6),
  }),
);
export const { encode: encodeIOEntryV2, decode: decodeIOEntryV2 } = IOEntryV2;

export interface HugeTlbStatV2 {
  current: bigint;
  max: bigint;
  pagesize: string;
}
export const HugeTlbStatV2: MessageType<HugeTlbStatV2> = message(
  "io.containerd.cgroups.v2.HugeTlbStat",
  () => ({
    current: field.uint64(1),
    max: field.uint64(2),
    pagesize: field.string(3),
  }),
);
export const { encode: encodeHugeTlbStatV2, decode: decodeHugeTlbStatV2 } = HugeTlbStatV2;

export interface MetricsV2 {
  pids?: PidsStatV2;
  cpu?: CPUStatV2;
  memory?: MemoryStatV2;
  rdma?: RdmaStatV2;
  io?: IOStatV2;
  hugetlb: HugeTlbStatV2[];
  memoryEvents?: MemoryEventsV2;
}
export const MetricsV2: MessageType<MetricsV2> = message(
  "io.containerd.cgroups.v2.Metrics",
  () => ({
    pids: field.message(1, PidsStatV2),
    cpu: field.message(2, CPUStatV2),
    memory: field.message(4, MemoryStatV2),
    rdma: field.message(5, RdmaStatV2),
    io: field.message(6, IOStatV2),
    hugetlb: field.repeated(field.message(7, HugeTlbStatV2)),
    memoryEvents: field.message(8, MemoryEventsV2),
  }),
);
export const { encode: encodeMetricsV2, decode: decodeMetricsV2 } = MetricsV2;
