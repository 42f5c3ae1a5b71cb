import { errorMessage, InvalidConfigurationError } from "../errors.ts";
import {
  boolean,
  describe,
  type Document,
  Fields,
  int64,
  integer,
  nonEmptyText,
  oneOf,
  Place,
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

/** What a container's limits are changed to. */
const UPDATE: Document = {
  error: (path, reason, remedy) =>
    new InvalidConfigurationError({
      operation: "read resources",
      subject: path === "" ? undefined : path,
      reason,
      remedy,
    }),
};

/**
 * Reads the limits that a container is to have from now on.
 *
 * @param value in the form of `linux.resources` of config.json
 * @throws InvalidConfigurationError naming the property
 */
export function readUpdate(value: unknown): Resources {
  return readResources(new Fields(value, new Place(UPDATE)));
}

/**
 * As `readUpdate`, from JSON.
 *
 * @param source where it comes from, for errors
 */
export function parseUpdate(json: Uint8Array, source: string): Resources {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json));
  } catch (error) {
    throw UPDATE.error(
      source,
      `it is not JSON: ${errorMessage(error)}`,
      "it must be an object as linux.resources of config.json",
    );
  }
  return readUpdate(value);
}

/** 10 to 1000 as the specification has it; 0, which docker sends, asks for nothing. */
function weight(value: unknown, at: Place): number {
  return value === 0 ? 0 : integer(10, 1000)(value, at);
}

function readBlockIO(value: unknown, at: Place): BlockIO {
  const blockIO = new Fields(value, at);
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

function readWeightedDevice(value: unknown, at: Place): WeightedDevice {
  const device = new Fields(value, at);
  return {
    major: device.required("major", deviceMajor),
    minor: device.required("minor", deviceMinor),
    weight: device.optional("weight", weight),
    leafWeight: device.optional("leafWeight", weight),
  };
}

function readThrottledDevice(value: unknown, at: Place): ThrottledDevice {
  const device = new Fields(value, at);
  return {
    major: device.required("major", deviceMajor),
    minor: device.required("minor", deviceMinor),
    rate: device.required("rate", uint64),
  };
}

function readDeviceRule(value: unknown, at: Place): DeviceRule {
  const rule = new Fields(value, at);
  return {
    allow: rule.optional("allow", boolean) ?? false,
    type: rule.optionalText("type", oneOf(["a", "b", "c"])),
    major: rule.optional("major", orAny(deviceMajor)),
    minor: rule.optional("minor", orAny(deviceMinor)),
    access: rule.optionalText("access", readAccess),
  };
}

/** -1 is how runc's callers write "any", which the specification writes by leaving the number out. */
function orAny(read: typeof deviceMajor): (value: unknown, at: Place) => number | undefined {
  return (value, at) => value === -1 ? undefined : read(value, at);
}

function readAccess(value: unknown, at: Place): string {
  const access = text(value, at);
  if (!/^[rwm]{1,3}$/.test(access)) {
    throw at.invalid(describe(access), "a combination of r, w and m");
  }
  return access;
}

function readHugepageLimit(value: unknown, at: Place): { pageSize: string; limit: number } {
  const hugepage = new Fields(value, at);
  return {
    pageSize: hugepage.required("pageSize", readPageSize),
    limit: hugepage.required("limit", uint64),
  };
}

/** The size is part of a cgroup file's name: `hugetlb.2MB.max`. */
function readPageSize(value: unknown, at: Place): string {
  const size = nonEmptyText(value, at);
  if (!/^[1-9][0-9]*[KMG]B$/.test(size)) throw at.invalid(describe(size), "a size as 2MB");
  return size;
}

/** The keys are names of cgroup files, so that a `/` would lead out of the container's cgroup. */
function readUnified(resources: Fields): Record<string, string> {
  const unified = resources.textRecord("unified");
  for (const key of Object.keys(unified)) {
    if (/^[a-z0-9_]+(\.[A-Za-z0-9_]+)+$/.test(key)) continue;
    const at = resources.at("unified").child(key);
    throw at.invalid("that name", "names of cgroup files, as memory.high");
  }
  return unified;
}
