import { isCode } from "./common.ts";
import type { CgroupPlan } from "./plan.ts";
import { readHugetlbV1, readHugetlbV2, readStatsV1, readStatsV2 } from "./stats_files.ts";

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
  /** Processes that the kernel killed for want of memory. */
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
  /** No limit is 2^64 - 1 in v2, and the greatest multiple of a page that v1 can tell. */
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
  /** Undefined when there is no such file: a controller that is not there, an older kernel. */
  read(file: string): string | undefined;
  /** Names of the files of one controller. */
  names(controller: string): string[];
}

/**
 * Reads what a container's cgroups have counted. What this host does not count is 0.
 *
 * @param plan from `locateCgroup`
 */
export function readStats(plan: CgroupPlan): Stats {
  const v2 = filesOf(() => plan.v2?.directory);
  if (plan.v1.length === 0) return { ...readStatsV2(v2), hugetlb: readHugetlbV2(v2) };
  const v1 = filesOf((controller) =>
    plan.v1.find(({ controllers }) => controllers.includes(controller))?.directory
  );
  // On a hybrid host either tree may have this one.
  return { ...readStatsV1(v1), hugetlb: { ...readHugetlbV2(v2), ...readHugetlbV1(v1) } };
}

/**
 * How many processes of a container the kernel has killed for want of memory.
 *
 * @returns undefined when its cgroup is gone, or nothing counts them
 */
export function readOomKills(plan: CgroupPlan): bigint | undefined {
  const { v1, v2 } = plan;
  const directory = v1.find(({ controllers }) => controllers.includes("memory"))?.directory;
  const text = directory === undefined
    ? readIfThere(`${v2?.directory}/memory.events`)
    : readIfThere(`${directory}/memory.oom_control`);
  const count = text === undefined ? undefined : /^oom_kill (\d+)$/m.exec(text)?.[1];
  return count === undefined ? undefined : BigInt(count);
}

function filesOf(directoryOf: (controller: string) => string | undefined): StatFiles {
  return {
    read(file) {
      const directory = directoryOf(file.slice(0, file.indexOf(".")));
      return directory === undefined ? undefined : readIfThere(`${directory}/${file}`);
    },
    names(controller) {
      const directory = directoryOf(controller);
      if (directory === undefined) return [];
      try {
        return [...Deno.readDirSync(directory)].map(({ name }) => name)
          .filter((name) => name.startsWith(`${controller}.`));
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return [];
        throw error;
      }
    },
  };
}

/** EOPNOTSUPP: the file is there and its feature switched off (memory.memsw without swapaccount). */
function readIfThere(file: string): string | undefined {
  try {
    return Deno.readTextFileSync(file);
  } catch (error) {
    const absent = ["ENOENT", "ENODEV", "EOPNOTSUPP"].some((code) => isCode(error, code));
    if (absent || error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
