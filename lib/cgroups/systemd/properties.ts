import type { Property } from "./manager.ts";
import type { Value } from "../../protocol/dbus/values.ts";
import { parseKernelSize } from "../../oci/kernel_size.ts";
import type { Scope } from "./scope.ts";
import type { CgroupWrite } from "../writes.ts";

/** What systemd takes for no limit: CGROUP_LIMIT_MAX and USEC_INFINITY. */
const INFINITY = 2n ** 64n - 1n;
const MICROSECONDS = 1_000_000n;
/** systemd keeps a quota in percent of a processor: in 10 ms of each second. */
const QUOTA_STEP = 10_000n;
/** No kernel has more processors or memory nodes than bits here; it bounds the mask. */
const MAXIMUM_CPUSET = 8192;

/**
 * What makes a scope a container's, but for its process.
 *
 * @see systemd.scope(5), systemd.resource-control(5), org.freedesktop.systemd1(5)
 */
export function scopeProperties(scope: Scope, id: string): Property[] {
  return [
    property("Description", "s", `urunc container ${id}`),
    property("Slice", "s", scope.slice),
    // What is below it is ours, and systemd moves no process there.
    property("Delegate", "b", true),
    ...["MemoryAccounting", "CPUAccounting", "IOAccounting", "TasksAccounting"].map((name) =>
      property(name, "b", true)
    ),
    // Those would stop it, before the daemon that owns it could, when the machine is shut down.
    property("DefaultDependencies", "b", false),
    // Without it, a failed unit would stay until it is reset.
    property("CollectMode", "s", "inactive-or-failed"),
  ];
}

/**
 * Limits as systemd knows them. It writes its own idea of them again whenever it is reloaded, so
 * setting them in the files alone does not last.
 *
 * Limits that it does not know, or in a form that only the kernel understands, are left to the
 * files. For systemd 244 and later.
 *
 * @param writes for cgroup v2
 */
export function limitProperties(writes: CgroupWrite[]): Property[] {
  const properties = new Map<string, Property>();
  for (const { file, value } of writes) {
    const name = file.slice(file.lastIndexOf("/") + 1);
    for (const found of propertiesOf(name, value.trim())) properties.set(found[0], found);
  }
  return [...properties.values()];
}

const AMOUNTS: Record<string, string> = {
  "memory.max": "MemoryMax",
  "memory.high": "MemoryHigh",
  "memory.low": "MemoryLow",
  "memory.min": "MemoryMin",
  "memory.swap.max": "MemorySwapMax",
  "pids.max": "TasksMax",
};
const WEIGHTS: Record<string, string> = { "cpu.weight": "CPUWeight", "io.weight": "IOWeight" };
const SETS: Record<string, string> = {
  "cpuset.cpus": "AllowedCPUs",
  "cpuset.mems": "AllowedMemoryNodes",
};

function propertiesOf(file: string, value: string): Property[] {
  const amount = AMOUNTS[file];
  if (amount !== undefined) {
    const limit = value === "max" ? INFINITY : parseKernelSize(value);
    return limit === undefined || limit > INFINITY ? [] : [property(amount, "t", limit)];
  }
  const weight = WEIGHTS[file];
  if (weight !== undefined) {
    const number = integer(value.replace(/^default\s+/, ""));
    return number === undefined ? [] : [property(weight, "t", number)];
  }
  const set = SETS[file];
  if (set !== undefined) {
    const mask = bitMask(value);
    return mask === undefined ? [] : [property(set, "ay", mask)];
  }
  return file === "cpu.max" ? quotaProperties(value) : [];
}

/** `QUOTA PERIOD` in microseconds, or `max PERIOD`. */
function quotaProperties(value: string): Property[] {
  const [quotaText = "", periodText = "100000"] = value.split(/\s+/);
  const period = integer(periodText);
  const quota = quotaText === "max" ? INFINITY : integer(quotaText);
  if (period === undefined || period === 0n || quota === undefined) return [];
  const perSecond = quota === INFINITY
    ? INFINITY
    // Rounded up: the file, written after, has it exactly, and must not be above its own unit's.
    : (quota * MICROSECONDS / period + QUOTA_STEP - 1n) / QUOTA_STEP * QUOTA_STEP;
  return [
    property("CPUQuotaPeriodUSec", "t", period),
    property("CPUQuotaPerSecUSec", "t", perSecond),
  ];
}

/**
 * A list such as `0-3,8` as bits, number 0 the lowest of the first byte.
 *
 * @returns undefined when it is not such a list: the kernel reports that
 */
export function bitMask(list: string): Uint8Array | undefined {
  const mask = new Uint8Array(MAXIMUM_CPUSET / 8);
  let used = 0;
  for (const part of list.split(",")) {
    const range = /^\s*(\d{1,5})(?:-(\d{1,5}))?\s*$/.exec(part);
    if (range === null) return undefined;
    const first = Number(range[1]);
    const last = Number(range[2] ?? range[1]);
    if (last < first || last >= MAXIMUM_CPUSET) return undefined;
    for (let number = first; number <= last; number++) mask[number >> 3]! |= 1 << (number & 7);
    used = Math.max(used, (last >> 3) + 1);
  }
  return mask.slice(0, used);
}

function integer(text: string): bigint | undefined {
  if (!/^\d{1,20}$/.test(text)) return undefined;
  const value = BigInt(text);
  return value > INFINITY ? undefined : value;
}

/** A property of a unit, with its type. */
export function property(name: string, signature: string, value: Value): Property {
  return [name, { signature, value }];
}
