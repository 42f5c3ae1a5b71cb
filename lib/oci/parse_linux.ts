import { readSeccomp } from "./parse_seccomp.ts";
import { deviceMajor, deviceMinor, readResources } from "./parse_resources.ts";
import { absolutePath, Fields, id, integer, oneOf, type Place, text } from "../decode/decode.ts";
import type { Device, IdMapping, Linux, Namespace, NamespaceType } from "./types.ts";

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
    seccomp: linux.optional("seccomp", readSeccomp),
    sysctl: linux.textRecord("sysctl"),
    maskedPaths: linux.list("maskedPaths", text),
    readonlyPaths: linux.list("readonlyPaths", text),
    rootfsPropagation: linux.optionalText("rootfsPropagation", oneOf(propagations)),
    mountLabel: linux.optionalText("mountLabel"),
  };
}

function readNamespace(value: unknown, at: Place): Namespace {
  const namespace = new Fields(value, at);
  return {
    type: namespace.required("type", oneOf(namespaceTypes)),
    path: namespace.optionalText("path", absolutePath),
  };
}

/** An element of `uidMappings`, or `gidMappings`. */
export function readIdMapping(value: unknown, at: Place): IdMapping {
  const mapping = new Fields(value, at);
  return {
    containerID: mapping.required("containerID", id),
    hostID: mapping.required("hostID", id),
    size: mapping.required("size", integer(0, 2 ** 32 - 1)),
  };
}

function readDevice(value: unknown, at: Place): Device {
  const device = new Fields(value, at);
  return {
    type: device.required("type", oneOf(["c", "b", "u", "p"])),
    path: device.required("path", absolutePath),
    major: device.optional("major", deviceMajor),
    minor: device.optional("minor", deviceMinor),
    fileMode: device.optional("fileMode", integer(0, 2 ** 32 - 1)),
    uid: device.optional("uid", id),
    gid: device.optional("gid", id),
  };
}
