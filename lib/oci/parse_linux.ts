import {
  absolutePath,
  boolean,
  childPath,
  describe,
  Fields,
  id,
  int64,
  integer,
  invalid,
  nonEmptyText,
  oneOf,
  rawObject,
  text,
  uint64,
} from "./reader.ts";
import type {
  Device,
  DeviceRule,
  IdMapping,
  Linux,
  Namespace,
  NamespaceType,
  Resources,
} from "./types.ts";

/** @see https://github.com/opencontainers/runtime-spec/blob/v1.2.0/config-linux.md#namespaces */
const namespaceTypes: NamespaceType[] = [
  "pid",
  "network",
  "mount",
  "ipc",
  "uts",
  "user",
  "cgroup",
  "time",
];

/** The specification has the first four; runc takes the recursive forms too, and callers use them. */
const propagations = [
  "shared",
  "slave",
  "private",
  "unbindable",
  "rshared",
  "rslave",
  "rprivate",
  "runbindable",
];

// linux/kdev_t.h: 12 bits of major, 20 of minor.
const major = integer(0, 2 ** 12 - 1);
const minor = integer(0, 2 ** 20 - 1);

/**
 * Reads the `linux` section.
 *
 * @param linux its properties; none when the section is absent
 * @see https://github.com/opencontainers/runtime-spec/blob/v1.2.0/config-linux.md
 */
export function readLinux(linux: Fields): Linux {
  return {
    namespaces: linux.list("namespaces", readNamespace),
    uidMappings: linux.list("uidMappings", readIdMapping),
    gidMappings: linux.list("gidMappings", readIdMapping),
    devices: linux.list("devices", readDevice),
    cgroupsPath: linux.optionalText("cgroupsPath"),
    resources: readResources(linux.section("resources")),
    seccomp: linux.optional("seccomp", rawObject),
    sysctl: linux.textRecord("sysctl"),
    maskedPaths: linux.list("maskedPaths", text),
    readonlyPaths: linux.list("readonlyPaths", text),
    rootfsPropagation: linux.optionalText("rootfsPropagation", oneOf(propagations)),
    mountLabel: linux.optionalText("mountLabel"),
  };
}

function readNamespace(value: unknown, path: string): Namespace {
  const namespace = new Fields(value, path);
  return {
    type: namespace.required("type", oneOf(namespaceTypes)),
    path: namespace.optionalText("path", absolutePath),
  };
}

function readIdMapping(value: unknown, path: string): IdMapping {
  const mapping = new Fields(value, path);
  return {
    containerID: mapping.required("containerID", id),
    hostID: mapping.required("hostID", id),
    size: mapping.required("size", integer(0, 2 ** 32 - 1)),
  };
}

function readDevice(value: unknown, path: string): Device {
  const device = new Fields(value, path);
  return {
    type: device.required("type", oneOf(["c", "b", "u", "p"])),
    path: device.required("path", absolutePath),
    major: device.optional("major", major),
    minor: device.optional("minor", minor),
    fileMode: device.optional("fileMode", integer(0, 2 ** 32 - 1)),
    uid: device.optional("uid", id),
    gid: device.optional("gid", id),
  };
}

function readResources(resources: Fields): Resources {
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
    blockIO: resources.optional("blockIO", rawObject) ?? {},
    hugepageLimits: resources.list("hugepageLimits", readHugepageLimit),
    network: resources.optional("network", rawObject) ?? {},
    unified: readUnified(resources),
  };
}

function readDeviceRule(value: unknown, path: string): DeviceRule {
  const rule = new Fields(value, path);
  return {
    allow: rule.optional("allow", boolean) ?? false,
    type: rule.optionalText("type", oneOf(["a", "b", "c"])),
    major: rule.optional("major", orAny(major)),
    minor: rule.optional("minor", orAny(minor)),
    access: rule.optionalText("access", readAccess),
  };
}

/** -1 is how runc's callers write "any", which the specification writes by leaving the number out. */
function orAny(read: typeof major): (value: unknown, path: string) => number | undefined {
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
      childPath("linux.resources.unified", key),
      "that name",
      "names of cgroup files, as memory.high",
    );
  }
  return unified;
}
