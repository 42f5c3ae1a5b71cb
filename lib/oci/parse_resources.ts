import {
  boolean,
  childPath,
  describe,
  Fields,
  int64,
  integer,
  invalid,
  nonEmptyText,
  oneOf,
  rawObject,
  text,
  uint64,
} from "../decode/decode.ts";
import type { BlockIO, DeviceRule, Resources, ThrottledDevice, WeightedDevice } from "./types.ts";

// linux/kdev_t.h: 12 bits of major, 20 of minor.
export const deviceMajor = integer(0, 2 ** 12 - 1);
export const deviceMinor = integer(0, 2 ** 20 - 1);

/**
 * Reads limits: `linux.resources` of config.json, or what `update` is given.
 *
 * @param resources their properties
 * @see https://github.com/opencontainers/runtime-spec/blob/v1.2.0/config-linux.md#control-groups
 */
export function readResources(resources: Fields): Resources {
  const memory = resources.section("memory");
  const cpu = resources.section("cpu");
  return {
    devices: resources.list("devices", readDeviceRule),
    memory: {
      limit: memory.optional("limit", int64),
      reservation: memory.optional("reservation", int64),
      swap: memory.optional("swap", int64),
      kernel: memory.optional("kernel", int64),
      kernelTCP: memory.optional("kernelTCP", int64),
      swappiness: memory.optional("swappiness", uint64),
      disableOOMKiller: memory.optional("disableOOMKiller", boolean),
    },
    cpu: {
      shares: cpu.optional("shares", uint64),
      quota: cpu.optional("quota", int64),
      period: cpu.optional("period", uint64),
      burst: cpu.optional("burst", uint64),
      realtimeRuntime: cpu.optional("realtimeRuntime", int64),
      realtimePeriod: cpu.optional("realtimePeriod", uint64),
      cpus: cpu.optionalText("cpus"),
      mems: cpu.optionalText("mems"),
      idle: cpu.optional("idle", int64),
    },
    pids: { limit: resources.section("pids").optional("limit", int64) },
    blockIO: resources.optional("blockIO", readBlockIO) ?? {},
    hugepageLimits: resources.list("hugepageLimits", readHugepageLimit),
    network: resources.optional("network", rawObject) ?? {},
    rdma: resources.optional("rdma", rawObject),
    unified: readUnified(resources),
  };
}

/** 10 to 1000 as the specification has it; 0, which docker sends, asks for nothing. */
function weight(value: unknown, path: string): number {
  return value === 0 ? 0 : integer(10, 1000)(value, path);
}

function readBlockIO(value: unknown, path: string): BlockIO {
  const blockIO = new Fields(value, path);
  return {
    weight: blockIO.optional("weight", weight),
    leafWeight: blockIO.optional("leafWeight", weight),
    weightDevice: blockIO.list("weightDevice", readWeightedDevice),
    throttleReadBpsDevice: blockIO.list("throttleReadBpsDevice", readThrottledDevice),
    throttleWriteBpsDevice: blockIO.list("throttleWriteBpsDevice", readThrottledDevice),
    throttleReadIOPSDevice: blockIO.list("throttleReadIOPSDevice", readThrottledDevice),
    throttleWriteIOPSDevice: blockIO.list("throttleWriteIOPSDevice", readThrottledDevice),
  };
}

function readWeightedDevice(value: unknown, path: string): WeightedDevice {
  const device = new Fields(value, path);
  return {
    major: device.required("major", deviceMajor),
    minor: device.required("minor", deviceMinor),
    weight: device.optional("weight", weight),
    leafWeight: device.optional("leafWeight", weight),
  };
}

function readThrottledDevice(value: unknown, path: string): ThrottledDevice {
  const device = new Fields(value, path);
  return {
    major: device.required("major", deviceMajor),
    minor: device.required("minor", deviceMinor),
    rate: device.required("rate", uint64),
  };
}

function readDeviceRule(value: unknown, path: string): DeviceRule {
  const rule = new Fields(value, path);
  return {
    allow: rule.optional("allow", boolean) ?? false,
    type: rule.optionalText("type", oneOf(["a", "b", "c"])),
    major: rule.optional("major", orAny(deviceMajor)),
    minor: rule.optional("minor", orAny(deviceMinor)),
    access: rule.optionalText("access", readAccess),
  };
}

/** -1 is how runc's callers write "any", which the specification writes by leaving the number out. */
function orAny(read: typeof deviceMajor): (value: unknown, path: string) => number | undefined {
  return (value, path) => value === -1 ? undefined : read(value, path);
}

function readAccess(value: unknown, path: string): string {
  const access = text(value, path);
  if (!/^[rwm]{1,3}$/.test(access)) {
    throw invalid(path, describe(access), "a combination of r, w and m");
  }
  return access;
}

function readHugepageLimit(value: unknown, path: string): { pageSize: string; limit: number } {
  const hugepage = new Fields(value, path);
  return {
    pageSize: hugepage.required("pageSize", readPageSize),
    limit: hugepage.required("limit", uint64),
  };
}

/** The size is part of a cgroup file's name: `hugetlb.2MB.max`. */
function readPageSize(value: unknown, path: string): string {
  const size = nonEmptyText(value, path);
  if (!/^[1-9][0-9]*[KMG]B$/.test(size)) throw invalid(path, describe(size), "a size as 2MB");
  return size;
}

/** The keys are names of cgroup files, so that a `/` would lead out of the container's cgroup. */
function readUnified(resources: Fields): Record<string, string> {
  const unified = resources.textRecord("unified");
  for (const key of Object.keys(unified)) {
    if (/^[a-z0-9_]+(\.[A-Za-z0-9_]+)+$/.test(key)) continue;
    throw invalid(
      childPath(resources.pathOf("unified"), key),
      "that name",
      "names of cgroup files, as memory.high",
    );
  }
  return unified;
}
