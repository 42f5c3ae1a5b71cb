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

/**
 * The writes for cgroup v1.
 *
 * @see kernel Documentation/admin-guide/cgroup-v1/, Documentation/scheduler/sched-bwc.rst
 */
export function writesV1(resources: Resources, hierarchies: HierarchyPlan[]): CgroupWrite[] {
  const { memory, cpu, pids, unified } = resources;
  if (isRequest(Object.keys(unified))) {
    throw unsupported("linux.resources.unified", "this host limits with cgroup v1");
  }
  const writes: CgroupWrite[] = [];
  const set = (
    property: string,
    value: unknown,
    controller: string,
    ...files: { file: string; value: string; mayBeMissing?: true }[]
  ) => {
    if (!isRequest(value)) return;
    const directory = hierarchies.find(({ controllers }) => controllers.includes(controller))
      ?.directory;
    if (directory === undefined) throw missingController(`linux.resources.${property}`, controller);
    writes.push(...files.map((write) => ({ ...write, file: `${directory}/${write.file}` })));
  };

  const { limit = 0, swap = 0 } = memory;
  // The kernel keeps limit <= memsw at every moment. Lifting memsw first makes the order right for
  // raising and lowering. The file is missing when swap is not accounted for: then nothing has to
  // be lifted, and "no limit" and "no swap" are left to the host, as the docker daemon does.
  const memsw = "memory.memsw.limit_in_bytes";
  const withoutSwap = swap === -1 || swap === limit;
  if (isRequest(limit) || isRequest(swap)) {
    set("memory", -1, "memory", { file: memsw, value: "-1", mayBeMissing: true });
  }
  set("memory.limit", limit, "memory", {
    file: "memory.limit_in_bytes",
    value: digits(limit),
  });
  set("memory.swap", swap, "memory", {
    file: memsw,
    value: digits(swap),
    ...(withoutSwap ? { mayBeMissing: true as const } : {}),
  });
  set("memory.reservation", memory.reservation, "memory", {
    file: "memory.soft_limit_in_bytes",
    value: digits(memory.reservation ?? 0),
  });
  // 0 is a wish here, "do not swap", unlike everywhere else.
  if (memory.swappiness !== undefined) {
    set("memory.swappiness", true, "memory", {
      file: "memory.swappiness",
      value: digits(memory.swappiness),
    });
  }
  set("memory.disableOOMKiller", memory.disableOOMKiller, "memory", {
    file: "memory.oom_control",
    value: "1",
  });

  set("cpu.shares", cpu.shares, "cpu", { file: "cpu.shares", value: digits(cpu.shares ?? 0) });
  // A quota is judged together with the period of the moment, so it is lifted while that changes.
  if (isRequest(cpu.period) || isRequest(cpu.quota)) {
    set("cpu.quota", true, "cpu", { file: "cpu.cfs_quota_us", value: "-1" });
  }
  set("cpu.period", cpu.period, "cpu", {
    file: "cpu.cfs_period_us",
    value: digits(cpu.period ?? 0),
  });
  set("cpu.quota", cpu.quota, "cpu", { file: "cpu.cfs_quota_us", value: digits(cpu.quota ?? 0) });
  set("cpu.burst", cpu.burst, "cpu", { file: "cpu.cfs_burst_us", value: digits(cpu.burst ?? 0) });
  set("cpu.idle", cpu.idle, "cpu", { file: "cpu.idle", value: digits(cpu.idle ?? 0) });

  set("cpu.cpus", cpu.cpus, "cpuset", { file: "cpuset.cpus", value: cpu.cpus ?? "" });
  set("cpu.mems", cpu.mems, "cpuset", { file: "cpuset.mems", value: cpu.mems ?? "" });

  const { limit: processes = 0 } = pids;
  set("pids.limit", processes, "pids", {
    file: "pids.max",
    value: processLimit(processes),
  });
  return writes;
}
