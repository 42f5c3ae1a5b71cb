import type { Resources } from "../../oci/types.ts";
import { type CgroupPlan, v1Directory } from "../plan.ts";
import { readIfThere } from "../../os/files.ts";

/** Limits that are in force now; undefined: none, or not known. Bytes and microseconds. */
export interface CurrentLimits {
  memory?: number;
  /** Memory and swap together. */
  swap?: number;
  quota?: number;
  period?: number;
}

/** v1 shows "no limit" as the largest multiple of a page, which is more than this. */
const UNLIMITED = 2 ** 62;

/** Reads the limits that others depend on from the files of a container's cgroups. */
export function readCurrentLimits(plan: CgroupPlan): CurrentLimits {
  return plan.v1.length > 0 ? readV1(plan) : readV2(plan);
}

function readV1(plan: CgroupPlan): CurrentLimits {
  const memory = v1Directory(plan, "memory");
  const cpu = v1Directory(plan, "cpu");
  return {
    memory: readNumber(memory, "memory.limit_in_bytes"),
    swap: readNumber(memory, "memory.memsw.limit_in_bytes"),
    quota: readNumber(cpu, "cpu.cfs_quota_us"),
    period: readNumber(cpu, "cpu.cfs_period_us"),
  };
}

function readV2({ v2 }: CgroupPlan): CurrentLimits {
  const memory = readNumber(v2?.directory, "memory.max");
  const swapAlone = readNumber(v2?.directory, "memory.swap.max");
  const [quota, period] = readText(v2?.directory, "cpu.max")?.trim().split(" ") ?? [];
  return {
    memory,
    swap: memory === undefined || swapAlone === undefined ? undefined : memory + swapAlone,
    quota: toLimit(quota),
    period: toLimit(period),
  };
}

/**
 * Adds to changed limits those in force that the kernel, or config.json, judges together with them:
 * a limit that is not mentioned stays.
 */
export function completeResources(changes: Resources, current: CurrentLimits): Resources {
  return {
    ...changes,
    memory: completeMemory(changes.memory, current),
    cpu: completeCpu(changes.cpu, current),
  };
}

function completeMemory(
  memory: Resources["memory"],
  current: CurrentLimits,
): Resources["memory"] {
  const { limit = 0, swap = 0 } = memory;
  // No limit for memory with one for memory and swap together makes no sense.
  if (limit < 0 && swap === 0) return { ...memory, swap: -1 };
  if (limit > 0 && swap === 0) return { ...memory, swap: current.swap };
  if (swap > 0 && limit === 0) return { ...memory, limit: current.memory };
  return memory;
}

function completeCpu(cpu: Resources["cpu"], current: CurrentLimits): Resources["cpu"] {
  const { quota = 0, period = 0 } = cpu;
  if (quota === 0 && period === 0) return cpu;
  return {
    ...cpu,
    quota: quota === 0 ? current.quota : quota,
    period: period === 0 ? current.period : period,
  };
}

function readNumber(directory: string | undefined, file: string): number | undefined {
  return toLimit(readText(directory, file)?.trim());
}

function toLimit(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d+$/.test(text)) return undefined;
  const number = Number(text);
  return number < UNLIMITED ? number : undefined;
}

function readText(directory: string | undefined, file: string): string | undefined {
  return directory === undefined ? undefined : readIfThere(`${directory}/${file}`);
}
