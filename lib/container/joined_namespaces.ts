import {
  CLONE_NEWNS,
  CLONE_NEWUSER,
  close,
  ioctl,
  LinuxError,
  O_NONBLOCK,
  O_RDONLY,
  open,
} from "../../ffi/linux.ts";
import { InvalidConfigurationError } from "../errors.ts";
import { readMapsOfNamespace } from "../host/id_maps.ts";
import { userNamespaceName } from "../host/namespaces.ts";
import { isOfCrio, isOfPod } from "../oci/annotations.ts";
import type { NamespaceType, Spec } from "../oci/types.ts";
import { hasOwnNetwork } from "../plan/namespaces.ts";
import { isSameIdentity, readFileIdentity } from "../os/files.ts";

/** Files of /proc/PID/ns. */
const FILES: Partial<Record<NamespaceType, string>> = { network: "net", ipc: "ipc", uts: "uts" };

/** linux/nsfs.h: _IO(0xb7, 0x3) */
const NS_GET_NSTYPE = 0xb703;

/**
 * Checks the path of a mount namespace, which is not entered (see lib/plan/namespaces.ts) and could
 * so be anything.
 *
 * @throws InvalidConfigurationError without a mount namespace
 */
export function requireMountNamespace({ linux }: Spec): void {
  const index = linux.namespaces.findIndex(({ type }) => type === "mount");
  const path = linux.namespaces[index]?.path;
  if (path === undefined) return;
  const reason = objectionTo(path, CLONE_NEWNS, "mount");
  if (reason === undefined) return;
  throw new InvalidConfigurationError({
    operation: "read config.json",
    subject: `linux.namespaces[${index}].path`,
    reason: `${path}: ${reason}`,
  });
}

/**
 * With the mappings of a user namespace that is joined by its path: those that it has, whatever config.json
 * says. podman writes `0 0 1` there, since runc requires some.
 *
 * @returns with the name of that namespace, which these mappings are of, if one is joined
 * @throws InvalidConfigurationError for a namespace that cannot be read, or is the runtime's own
 */
export function withJoinedMappings(spec: Spec): { spec: Spec; userNamespace?: string } {
  const index = spec.linux.namespaces.findIndex(({ type }) => type === "user");
  const path = spec.linux.namespaces[index]?.path;
  if (path === undefined) return { spec };
  const fail = (reason: string) =>
    new InvalidConfigurationError({
      operation: "read config.json",
      subject: `linux.namespaces[${index}].path`,
      reason: `${path} ${reason}`,
    });
  if (isSameIdentity(readFileIdentity("/proc/self/ns/user"), readFileIdentity(path))) {
    throw fail("is the runtime's own user namespace");
  }
  const maps = readMapsOfNamespace(path);
  if (maps !== undefined) {
    const linux = { ...spec.linux, uidMappings: maps.uids, gidMappings: maps.gids };
    return { spec: { ...spec, linux }, userNamespace: maps.name };
  }
  const reason = objectionTo(path, CLONE_NEWUSER, "user");
  if (reason !== undefined) throw fail(`is no namespace to join: ${reason}`);
  // CRI-O's, which it has pinned, has no process before the pod's first container has one. The kernel says the
  // mappings of a process only: what config.json has is proven when the monitor is in it.
  if (spec.linux.uidMappings.length === 0) {
    throw fail("has no process, and linux.uidMappings does not say what it maps");
  }
  return { spec, userNamespace: userNamespaceName(readFileIdentity(path)!.ino!) };
}

/** Why something is no namespace of a type; undefined: it is one. */
function objectionTo(path: string, type: number, name: string): string | undefined {
  let fd: number | undefined;
  try {
    fd = open(path, O_RDONLY | O_NONBLOCK);
    return ioctl(fd, NS_GET_NSTYPE, 0) === type ? undefined : `not a ${name} namespace`;
  } catch (error) {
    if (!(error instanceof LinuxError)) throw error;
    return error.code === "ENOTTY" ? "not a namespace" : error.code;
  } finally {
    if (fd !== undefined) close(fd);
  }
}

/**
 * Refuses a namespace that is joined by a path and turns out to be the runtime's own, where a
 * container could change the host: the guest would take over the host's own network interface, and
 * a sysctl would be set for everybody. For the same reason, that of a pod in the node's network, which
 * CRI-O asks for by listing none.
 *
 * @throws InvalidConfigurationError naming the namespace
 */
export function refuseOwnNamespaces(spec: Spec): void {
  const { linux, annotations } = spec;
  if (isOfCrio(annotations) && !hasOwnNetwork(spec)) {
    throw hostNetwork("linux.namespaces", "CRI-O lists no network namespace for it");
  }
  const hasSysctls = Object.keys(linux.sysctl).length > 0;
  for (const [index, { type, path }] of linux.namespaces.entries()) {
    const file = FILES[type];
    if (path === undefined || file === undefined) continue;
    if (type !== "network" && !hasSysctls) continue;
    const own = readFileIdentity(`/proc/self/ns/${file}`);
    if (!isSameIdentity(own, readFileIdentity(path))) continue;
    if (type === "network" && isOfPod(annotations)) {
      const what = `${path} is the runtime's own network namespace`;
      throw hostNetwork(`linux.namespaces[${index}].path`, what);
    }
    throw new InvalidConfigurationError({
      operation: "read config.json",
      subject: `linux.namespaces[${index}].path`,
      reason: `${path} is the runtime's own ${type} namespace, ` +
        (type === "network"
          ? "whose interface the guest would take over"
          : "which linux.sysctl would change"),
      remedy: type === "network"
        ? "leave network out for a guest without a network"
        : "leave linux.sysctl out",
    });
  }
}

function hostNetwork(subject: string, what: string): InvalidConfigurationError {
  return new InvalidConfigurationError({
    operation: "read config.json",
    subject,
    reason: `the pod has the node's network (hostNetwork: true), whose interface the guest would ` +
      `take over: ${what}`,
    remedy: "leave hostNetwork out of the pod: hostPort and Services reach the guest's ports",
  });
}
