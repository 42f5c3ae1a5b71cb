/**
 * What a container's cgroups have counted. Bytes, nanoseconds and numbers of things: all of them
 * 64 bits wide in the kernel, so bigint.
 */
export interface Stats {
  cpu: CpuStats;
  memory: MemoryStats;
  pids: {
    current: bigint;
    /** 0: none. */
    limit: bigint;
  };
  blockIO: {
    bytes: BlockIOCount[];
    operations: BlockIOCount[];
  };
  /** By page size, as `2MB`. */
  hugetlb: Record<string, Counter>;
}

export interface CpuStats {
  total: bigint;
  user: bigint;
  kernel: bigint;
  /** By processor; empty in v2, which does not count them apart. */
  perCpu: bigint[];
  /** Of a quota: how many have passed, how many used it up, for how long there was none left. */
  periods: bigint;
  throttledPeriods: bigint;
  throttledTime: bigint;
}

export interface MemoryStats extends MemoryCounter {
  /** Memory and swap together, in both versions. */
  swap: MemoryCounter;
  /** Apart in v1 only. */
  kernel?: MemoryCounter;
  kernelTcp?: MemoryCounter;
  /** Page cache. */
  cache: bigint;
  /** Processes that the OOM killer killed. */
  oomKills: bigint;
  /** memory.stat as it is. */
  raw: Record<string, bigint>;
}

export interface Counter {
  usage: bigint;
  /** The most that it ever was; 0 where the kernel does not say. */
  peak: bigint;
  /** How often the limit was met. */
  failures: bigint;
}

export interface MemoryCounter extends Counter {
  /** No limit is 2^64 - 1 in v2, and the largest multiple of a page that v1 can show. */
  limit: bigint;
}

export interface BlockIOCount {
  major: bigint;
  minor: bigint;
  /** `Read`, `Write` and the like. */
  operation: string;
  count: bigint;
}

/** The files of a container's cgroup in one version. */
export interface StatFiles {
  /** Undefined when the file does not exist: a missing controller, an older kernel. */
  read(file: string): string | undefined;
  /** Names of the files of one controller. */
  names(controller: string): string[];
}
