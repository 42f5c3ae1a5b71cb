import { UnsupportedError, UsageError } from "../errors.ts";
import type { ValuesOf } from "./parser/options.ts";
import { updateOptions } from "./parser/update_options.ts";

/** Which option is which property, and how its text is read. */
const PROPERTIES: [
  option: Exclude<keyof typeof updateOptions, "resources" | "l3CacheSchema" | "memBwSchema">,
  section: string,
  property: string,
  read: (text: string) => unknown,
][] = [
  ["memory", "memory", "limit", bytes],
  ["memoryReservation", "memory", "reservation", bytes],
  ["memorySwap", "memory", "swap", bytes],
  ["kernelMemory", "memory", "kernel", bytes],
  ["kernelMemoryTcp", "memory", "kernelTCP", bytes],
  ["cpuShares", "cpu", "shares", integer],
  ["cpuPeriod", "cpu", "period", integer],
  ["cpuQuota", "cpu", "quota", integer],
  ["cpuBurst", "cpu", "burst", integer],
  ["cpuIdle", "cpu", "idle", integer],
  ["cpuRtPeriod", "cpu", "realtimePeriod", integer],
  ["cpuRtRuntime", "cpu", "realtimeRuntime", integer],
  ["cpusetCpus", "cpu", "cpus", String],
  ["cpusetMems", "cpu", "mems", String],
  ["pidsLimit", "pids", "limit", integer],
  ["blkioWeight", "blockIO", "weight", integer],
];

/**
 * The limits that options ask for, in the form of `linux.resources`.
 *
 * @throws UsageError naming the option whose value is not a number; UnsupportedError for Intel RDT
 */
export function resourcesOf(
  values: ValuesOf<typeof updateOptions>,
): Record<string, Record<string, unknown>> {
  for (const name of ["l3CacheSchema", "memBwSchema"] as const) {
    if (values[name] === undefined) continue;
    throw new UnsupportedError({
      operation: "update container",
      subject: updateOptions[name].names[0],
      reason: "Intel RDT is not supported",
    });
  }
  const resources: Record<string, Record<string, unknown>> = {};
  for (const [option, section, property, read] of PROPERTIES) {
    const text = values[option];
    if (text === undefined) continue;
    const value = read(text);
    if (value === undefined) throw notANumber(updateOptions[option].names[0]!, text);
    (resources[section] ??= {})[property] = value;
  }
  return resources;
}

function integer(text: string): number | undefined {
  return /^-?\d{1,19}$/.test(text) ? Number(text) : undefined;
}

/** Bytes, or KiB, MiB, GiB, TiB with their first letter in any case: `512m`, `1.5GiB`. */
function bytes(text: string): number | undefined {
  const match = /^(\d{1,19}(?:\.\d{1,9})?) ?([kmgt])?(?:i?b)?$/i.exec(text);
  if (match === null) return text === "-1" ? -1 : undefined;
  const power = " kmgt".indexOf((match[2] ?? " ").toLowerCase());
  return Math.floor(Number(match[1]) * 1024 ** power);
}

function notANumber(option: string, text: string): UsageError {
  return new UsageError({
    operation: "parse command line",
    subject: option,
    reason: `${JSON.stringify(text)} is not a number`,
    remedy: "see urunc update --help",
  });
}
