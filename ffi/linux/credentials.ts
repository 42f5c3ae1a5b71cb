/**
 * The credentials and limits of the process.
 *
 * glibc applies `setgroups`, `setresgid` and `setresuid` to every thread, by sending each the signal
 * 33: after `resetSignalHandlers` they would kill the process. Capabilities and what prctl sets
 * belong to the calling thread, which is the one that execve keeps.
 * @module
 */
import { _LINUX_CAPABILITY_VERSION_3 } from "../constants/capability.ts";
import { KEYCTL_JOIN_SESSION_KEYRING } from "../constants/keyctl.ts";
import { SECCOMP_SET_MODE_FILTER } from "../constants/seccomp.ts";
import { SYS_keyctl, SYS_seccomp } from "../constants/syscall.ts";
import { checked } from "../errors.ts";
import { addressOf, allocate, cStringOrNull } from "../memory.ts";
import {
  allocateStruct,
  CAP_USER_DATA,
  CAP_USER_HEADER,
  getField,
  getField64,
  RLIMIT64,
  setField,
  SOCK_FPROG,
} from "../structs.ts";
import * as grp from "../symbols/grp.ts";
import * as sysCapability from "../symbols/sys_capability.ts";
import * as sysFsuid from "../symbols/sys_fsuid.ts";
import * as sysPrctl from "../symbols/sys_prctl.ts";
import * as sysResource from "../symbols/sys_resource.ts";
import * as raw from "../symbols/syscall.ts";
import * as unistd from "../symbols/unistd.ts";

/** Bit N of each set is the capability with the number N. */
export interface CapabilitySets {
  effective: bigint;
  permitted: bigint;
  inheritable: bigint;
}

export interface ResourceLimit {
  /** RLIM_INFINITY: unlimited. */
  soft: bigint;
  hard: bigint;
}

/**
 * @param gids the supplementary groups, all of them
 * @throws {LinuxError}
 * @see setgroups(2)
 */
export function setgroups(gids: number[]): void {
  const list = new Uint32Array(gids);
  checked(
    "setgroups",
    gids.join(",") || "none",
    () => grp.setgroups(BigInt(list.length), list),
  );
}

/**
 * @param r real
 * @param e effective
 * @param s saved
 * @throws {LinuxError}
 * @see setresgid(2)
 */
export function setresgid(r: number, e: number, s: number): void {
  checked("setresgid", `${r}, ${e}, ${s}`, () => unistd.setresgid(r, e, s));
}

/**
 * @param r real
 * @param e effective
 * @param s saved
 * @throws {LinuxError}
 * @see setresuid(2)
 */
export function setresuid(r: number, e: number, s: number): void {
  checked("setresuid", `${r}, ${e}, ${s}`, () => unistd.setresuid(r, e, s));
}

/**
 * Sets the ids that the calling thread's files are made with. The effective capabilities over files go with
 * uid 0, and come back with it (capabilities(7)).
 *
 * @returns those before
 * @throws {Error} when they stay as they are, for which the calls have no errno
 * @see setfsuid(2), setfsgid(2)
 */
export function setFileIds(
  { uid, gid }: { uid: number; gid: number },
): { uid: number; gid: number } {
  const before = { gid: sysFsuid.setfsgid(gid) >>> 0, uid: sysFsuid.setfsuid(uid) >>> 0 };
  // They return the id before, whether or not there is another one now.
  if (sysFsuid.setfsgid(gid) >>> 0 !== gid || sysFsuid.setfsuid(uid) >>> 0 !== uid) {
    throw new Error(`setfsuid ${uid}, setfsgid ${gid}: not permitted`);
  }
  return before;
}

/**
 * @returns the supplementary groups
 * @throws {LinuxError}
 * @see getgroups(2)
 */
export function getgroups(): number[] {
  const count = checked("getgroups", undefined, () => unistd.getgroups(0, null));
  if (count === 0) return [];
  const list = new Uint32Array(new ArrayBuffer(4 * count));
  const filled = checked("getgroups", undefined, () => unistd.getgroups(count, list));
  return Array.from(list.subarray(0, filled));
}

/**
 * @param caps the calling thread's sets
 * @throws {LinuxError}
 * @see capset(2)
 */
export function capset(caps: CapabilitySets): void {
  const header = capabilityHeader();
  const data = allocateStruct(CAP_USER_DATA, 2);
  for (const set of ["effective", "permitted", "inheritable"] as const) {
    setField(data, set, caps[set] & 0xffff_ffffn, 0);
    setField(data, set, caps[set] >> 32n, 1);
  }
  checked("capset", undefined, () => sysCapability.capset(header, data.bytes));
}

/**
 * @returns the calling thread's sets
 * @throws {LinuxError}
 * @see capget(2)
 */
export function capget(): CapabilitySets {
  const header = capabilityHeader();
  const data = allocateStruct(CAP_USER_DATA, 2);
  checked("capget", undefined, () => sysCapability.capget(header, data.bytes));
  const get = (set: "effective" | "permitted" | "inheritable") =>
    BigInt(getField(data, set, 1)) << 32n | BigInt(getField(data, set, 0));
  return {
    effective: get("effective"),
    permitted: get("permitted"),
    inheritable: get("inheritable"),
  };
}

/** For the calling thread, which is pid 0. */
function capabilityHeader(): Uint8Array<ArrayBuffer> {
  const header = allocateStruct(CAP_USER_HEADER);
  setField(header, "version", _LINUX_CAPABILITY_VERSION_3);
  return header.bytes;
}

/**
 * @param option PR_*
 * @param arg2 and the others: depend on the option; some options require zeros
 * @returns depends on the option
 * @throws {LinuxError}
 * @see prctl(2)
 */
export function prctl(
  option: number,
  arg2: number | bigint = 0,
  arg3: number | bigint = 0,
  arg4: number | bigint = 0,
  arg5: number | bigint = 0,
): number {
  const word = (value: number | bigint) => BigInt.asUintN(64, BigInt(value));
  return checked(
    "prctl",
    `option ${option}`,
    () => sysPrctl.prctl(option, word(arg2), word(arg3), word(arg4), word(arg5)),
  );
}

/**
 * @param resource RLIMIT_*
 * @param limit of the calling process
 * @throws {LinuxError}
 * @see getrlimit(2)
 */
export function setrlimit(resource: number, limit: ResourceLimit): void {
  const struct = allocateStruct(RLIMIT64);
  setField(struct, "rlim_cur", limit.soft);
  setField(struct, "rlim_max", limit.hard);
  checked(
    "prlimit64",
    `resource ${resource} to ${limit.soft}, ${limit.hard}`,
    () => sysResource.prlimit64(0, resource, struct.bytes, null),
  );
}

/**
 * @param resource RLIMIT_*
 * @returns the calling process's limit
 * @throws {LinuxError}
 * @see getrlimit(2)
 */
export function getrlimit(resource: number): ResourceLimit {
  const struct = allocateStruct(RLIMIT64);
  checked(
    "prlimit64",
    `resource ${resource}`,
    () => sysResource.prlimit64(0, resource, null, struct.bytes),
  );
  return { soft: getField64(struct, "rlim_cur"), hard: getField64(struct, "rlim_max") };
}

/**
 * @param name of the session keyring to join or make; null: a new one without a name
 * @returns its serial number
 * @throws {LinuxError}
 * @see keyctl_join_session_keyring(3)
 */
export function keyctlJoinSessionKeyring(name: string | null): number {
  const keyring = cStringOrNull(name, "keyctl");
  return checked(
    "keyctl",
    "KEYCTL_JOIN_SESSION_KEYRING",
    () => raw.keyctl_join_session_keyring(BigInt(SYS_keyctl), KEYCTL_JOIN_SESSION_KEYRING, keyring),
  );
}

/** struct sock_filter */
const FILTER_INSTRUCTION_SIZE = 8;

/**
 * Filters the system calls of the calling thread, and of what it executes and starts, for good. It needs
 * no_new_privs or CAP_SYS_ADMIN.
 *
 * @param program struct sock_filter, one after the other
 * @throws {LinuxError} EINVAL: the kernel takes no such program, or has no filters
 * @see seccomp(2), SECCOMP_SET_MODE_FILTER
 */
export function seccompSetModeFilter(program: Uint8Array): void {
  const instructions = allocate(program.length);
  instructions.set(program);
  const struct = allocateStruct(SOCK_FPROG);
  setField(struct, "len", program.length / FILTER_INSTRUCTION_SIZE);
  setField(struct, "filter", addressOf(instructions));
  checked(
    "seccomp",
    "SECCOMP_SET_MODE_FILTER",
    () => raw.seccomp(BigInt(SYS_seccomp), SECCOMP_SET_MODE_FILTER, 0, struct.bytes),
  );
}
