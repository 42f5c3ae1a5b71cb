import type { BlockIOCount, Counter, MemoryCounter, StatFiles, Stats } from "./stats_types.ts";

/** USER_HZ is 100 wherever we run: a tick has 10 ms. @see times(2), cpuacct.stat */
const NANOSECONDS_PER_TICK = 10_000_000n;
const NANOSECONDS_PER_MICROSECOND = 1000n;

/** How v2's `max` is counted: as everybody does who reads it into 64 bits. */
const NO_LIMIT = 2n ** 64n - 1n;

type StatsWithoutHugetlb = Omit<Stats, "hugetlb">;

/**
 * What cgroup v1 has counted.
 *
 * @see kernel Documentation/admin-guide/cgroup-v1/ (cpuacct, memory, pids, blkio-controller)
 */
export function readStatsV1(files: StatFiles): StatsWithoutHugetlb {
  const ticks = keyed(files.read("cpuacct.stat"));
  const quota = keyed(files.read("cpu.stat"));
  const raw = keyed(files.read("memory.stat"));
  return {
    cpu: {
      total: single(files.read("cpuacct.usage")),
      user: (ticks.user ?? 0n) * NANOSECONDS_PER_TICK,
      kernel: (ticks.system ?? 0n) * NANOSECONDS_PER_TICK,
      perCpu: words(files.read("cpuacct.usage_percpu")).map(BigInt),
      periods: quota.nr_periods ?? 0n,
      throttledPeriods: quota.nr_throttled ?? 0n,
      throttledTime: quota.throttled_time ?? 0n,
    },
    memory: {
      ...memoryCounterV1(files, "memory"),
      swap: memoryCounterV1(files, "memory.memsw"),
      kernel: memoryCounterV1(files, "memory.kmem"),
      kernelTcp: memoryCounterV1(files, "memory.kmem.tcp"),
      cache: raw.cache ?? 0n,
      oomKills: keyed(files.read("memory.oom_control")).oom_kill ?? 0n,
      raw,
    },
    pids: pidsOf(files),
    blockIO: {
      bytes: blockIOV1(files, "io_service_bytes_recursive"),
      operations: blockIOV1(files, "io_serviced_recursive"),
    },
  };
}

function memoryCounterV1(files: StatFiles, prefix: string): MemoryCounter {
  return {
    usage: single(files.read(`${prefix}.usage_in_bytes`)),
    limit: single(files.read(`${prefix}.limit_in_bytes`)),
    peak: single(files.read(`${prefix}.max_usage_in_bytes`)),
    failures: single(files.read(`${prefix}.failcnt`)),
  };
}

/** BFQ counts what its own scheduler did, the throttling layer all the rest. */
function blockIOV1(files: StatFiles, name: string): BlockIOCount[] {
  const scheduled = blockIOLines(files.read(`blkio.bfq.${name}`));
  return scheduled.length > 0 ? scheduled : blockIOLines(files.read(`blkio.throttle.${name}`));
}

/** `8:0 Read 4096`; a last line `Total 4096` has no device. */
function blockIOLines(text: string | undefined): BlockIOCount[] {
  return [...(text ?? "").matchAll(/^(\d+):(\d+) (\w+) (\d+)$/gm)].map((
    [, major, minor, operation, count],
  ) => ({
    major: BigInt(major!),
    minor: BigInt(minor!),
    operation: operation!,
    count: BigInt(count!),
  }));
}

/** Huge pages of v1, by their size. @see kernel Documentation/admin-guide/cgroup-v1/hugetlb.rst */
export function readHugetlbV1(files: StatFiles): Record<string, Counter> {
  return bySize(files, "usage_in_bytes", (size) => ({
    usage: single(files.read(`hugetlb.${size}.usage_in_bytes`)),
    peak: single(files.read(`hugetlb.${size}.max_usage_in_bytes`)),
    failures: single(files.read(`hugetlb.${size}.failcnt`)),
  }));
}

/**
 * What cgroup v2 has counted.
 *
 * @see kernel Documentation/admin-guide/cgroup-v2.rst
 */
export function readStatsV2(files: StatFiles): StatsWithoutHugetlb {
  const cpu = keyed(files.read("cpu.stat"));
  const time = (key: string) => (cpu[key] ?? 0n) * NANOSECONDS_PER_MICROSECOND;
  const raw = keyed(files.read("memory.stat"));
  const events = keyed(files.read("memory.events"));
  const usage = single(files.read("memory.current"));
  const limit = single(files.read("memory.max"));
  const swapUsage = single(files.read("memory.swap.current"));
  const swapLimit = single(files.read("memory.swap.max"));
  return {
    cpu: {
      total: time("usage_usec"),
      user: time("user_usec"),
      kernel: time("system_usec"),
      perCpu: [],
      periods: cpu.nr_periods ?? 0n,
      throttledPeriods: cpu.nr_throttled ?? 0n,
      throttledTime: time("throttled_usec"),
    },
    memory: {
      usage,
      limit,
      peak: single(files.read("memory.peak")),
      failures: events.max ?? 0n,
      // As v1 counts it: memory and swap together.
      swap: {
        usage: usage + swapUsage,
        limit: limit === NO_LIMIT || swapLimit === NO_LIMIT ? NO_LIMIT : limit + swapLimit,
        peak: 0n,
        failures: keyed(files.read("memory.swap.events")).max ?? 0n,
      },
      cache: raw.file ?? 0n,
      oomKills: events.oom_kill ?? 0n,
      raw,
    },
    pids: pidsOf(files),
    blockIO: blockIOV2(files.read("io.stat")),
  };
}

const BYTES = { rbytes: "Read", wbytes: "Write", dbytes: "Discard" };
const OPERATIONS = { rios: "Read", wios: "Write", dios: "Discard" };

/** `8:0 rbytes=4096 wbytes=0 rios=1 …`: a line for each device. */
function blockIOV2(text: string | undefined): Stats["blockIO"] {
  const lines = [...(text ?? "").matchAll(/^(\d+):(\d+) (.*)$/gm)];
  const counts = (names: Record<string, string>) =>
    lines.flatMap(([, major, minor, rest]) =>
      Object.entries(names).flatMap(([name, operation]): BlockIOCount[] => {
        const count = new RegExp(`(?:^| )${name}=(\\d+)`).exec(rest!)?.[1];
        if (count === undefined) return [];
        return [{
          major: BigInt(major!),
          minor: BigInt(minor!),
          operation,
          count: BigInt(count),
        }];
      })
    );
  return { bytes: counts(BYTES), operations: counts(OPERATIONS) };
}

/** Huge pages of v2, by their size. */
export function readHugetlbV2(files: StatFiles): Record<string, Counter> {
  return bySize(files, "current", (size) => ({
    usage: single(files.read(`hugetlb.${size}.current`)),
    peak: 0n,
    failures: keyed(files.read(`hugetlb.${size}.events`)).max ?? 0n,
  }));
}

function bySize(
  files: StatFiles,
  suffix: string,
  read: (size: string) => Counter,
): Record<string, Counter> {
  const sizes = files.names("hugetlb").flatMap((name) => {
    const [, size, rest] = /^hugetlb\.(\w+)\.(\w+)$/.exec(name) ?? [];
    return rest === suffix ? [size!] : [];
  });
  return Object.fromEntries(sizes.sort().map((size) => [size, read(size)]));
}

/** The same files in both versions. */
function pidsOf(files: StatFiles): Stats["pids"] {
  const limit = single(files.read("pids.max"));
  return { current: single(files.read("pids.current")), limit: limit === NO_LIMIT ? 0n : limit };
}

/** A file with one number, or `max`. */
function single(text: string | undefined): bigint {
  const word = (text ?? "").trim();
  if (word === "max") return NO_LIMIT;
  return /^\d+$/.test(word) ? BigInt(word) : 0n;
}

function words(text: string | undefined): string[] {
  return (text ?? "").split(/\s+/).filter((word) => /^\d+$/.test(word));
}

/** Lines of a key and a number; other lines are left out. */
function keyed(text: string | undefined): Record<string, bigint> {
  const lines = [...(text ?? "").matchAll(/^(\w+) (\d+)$/gm)];
  return Object.fromEntries(lines.map(([, key, value]) => [key!, BigInt(value!)]));
}
