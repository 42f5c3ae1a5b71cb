import { InvalidConfigurationError } from "../../errors.ts";
import type { Resources } from "../../oci/types.ts";
import type { HierarchyPlan } from "../plan.ts";
import {
  type CgroupWrite,
  digits,
  isRequest,
  missingController,
  processLimit,
  unsupported,
} from "../writes.ts";

/** Microseconds; the kernel's own default in cpu.max. */
const DEFAULT_PERIOD = 100_000;

/**
 * The writes for cgroup v2.
 *
 * @see kernel Documentation/admin-guide/cgroup-v2.rst
 */
export function writesV2(
  resources: Resources,
  hierarchy: HierarchyPlan | undefined,
): CgroupWrite[] {
  const { memory, cpu, pids } = resources;
  // Deprecated in v2 and without any file: the reader should not believe that they work.
  if (memory.swappiness !== undefined) {
    throw unsupported("linux.resources.memory.swappiness", "cgroup v2 does not have it");
  }
  if (memory.disableOOMKiller) {
    throw unsupported("linux.resources.memory.disableOOMKiller", "cgroup v2 does not have it");
  }
  const writes: CgroupWrite[] = [];
  const set = (
    property: string,
    value: unknown,
    controller: string,
    file: string,
    content: () => string,
    mayBeMissing = false,
  ) => {
    if (!isRequest(value)) return;
    if (hierarchy === undefined || !hierarchy.controllers.includes(controller)) {
      throw missingController(`linux.resources.${property}`, controller);
    }
    writes.push({
      file: `${hierarchy.directory}/${file}`,
      value: content(),
      ...(mayBeMissing ? { mayBeMissing: true as const } : {}),
    });
  };

  const { limit = 0, swap = 0, reservation = 0 } = memory;
  set("memory.limit", limit, "memory", "memory.max", () => orMax(limit));
  // config.json counts memory and swap together, the kernel swap alone. A `memory.max` in `unified` is
  // not considered, as in runc (setMemory, setUnified in cgroups/fs2): who uses the kernel's names
  // has `memory.swap.max`. Without CONFIG_SWAP the file is missing, and neither "no limit" nor "none"
  // needs it.
  const swapAlone = swap < 0 ? "max" : digits(swap - Math.max(limit, 0));
  const needless = swapAlone === "max" || swapAlone === "0";
  set("memory.swap", swap, "memory", "memory.swap.max", () => swapAlone, needless);
  set("memory.reservation", reservation, "memory", "memory.low", () => orMax(reservation));

  const { shares = 0, quota = 0, period = 0, burst = 0, idle = 0 } = cpu;
  set("cpu.shares", shares, "cpu", "cpu.weight", () => String(weightFromShares(shares)));
  set("cpu.idle", idle, "cpu", "cpu.idle", () => digits(idle));
  set(
    "cpu.quota",
    isRequest(quota) || isRequest(period),
    "cpu",
    "cpu.max",
    () => `${quota > 0 ? digits(quota) : "max"} ${digits(period > 0 ? period : DEFAULT_PERIOD)}`,
  );
  set("cpu.burst", burst, "cpu", "cpu.max.burst", () => digits(burst));

  set("cpu.cpus", cpu.cpus, "cpuset", "cpuset.cpus", () => cpu.cpus ?? "");
  set("cpu.mems", cpu.mems, "cpuset", "cpuset.mems", () => cpu.mems ?? "");

  const { limit: processes = 0 } = pids;
  set("pids.limit", processes, "pids", "pids.max", () => processLimit(processes));

  for (const [file, value] of Object.entries(resources.unified)) {
    const property = `unified.${file}`;
    checkUnifiedName(file, property);
    const controller = file.slice(0, file.indexOf("."));
    set(property, true, controller, file, () => value);
  }
  return writes;
}

/**
 * `cpu.shares` (2 to 262144) as `cpu.weight` (1 to 10000), in a straight line. It is what runc and
 * crun did for years and what tools that read the weight back expect.
 */
export function weightFromShares(shares: number): number {
  const clamped = Math.min(Math.max(shares, 2), 262_144);
  return 1 + Math.floor(((clamped - 2) * 9999) / 262_142);
}

function orMax(limit: number): string {
  return limit < 0 ? "max" : digits(limit);
}

/** A controller's file; `cgroup.procs` and its like would move processes, a path would leave. */
function checkUnifiedName(file: string, property: string): void {
  if (/^[a-z0-9_]+(\.[A-Za-z0-9_]+)+$/.test(file) && !file.startsWith("cgroup.")) return;
  throw new InvalidConfigurationError({
    operation: "plan limit",
    subject: `linux.resources.${property}`,
    reason: "it is not the name of a controller's file",
    remedy: "such as memory.high",
  });
}
