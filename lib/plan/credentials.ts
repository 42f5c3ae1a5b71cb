import { InvalidConfigurationError } from "../errors.ts";
import type { Process, Rlimit, User } from "../oci/types.ts";
import type { Step } from "./types.ts";
import type { ExpectedIdentity } from "../host/identity.ts";

/**
 * Soft RLIMIT_NOFILE when the container asks for none. The runtime's own was raised to the hard
 * limit by Deno; 1024 is what the kernel starts the first process with (INR_OPEN_CUR,
 * include/uapi/linux/fs.h) and what select(2) can take.
 */
const DEFAULT_NOFILE_SOFT = 1024n;
/** INR_OPEN_MAX, include/uapi/linux/fs.h. */
const DEFAULT_NOFILE_HARD = 4096n;
/**
 * The least that a container may be limited to. Init and QEMU for a guest without disks, network and agent
 * were measured to need 24; ports, a tap, and a descriptor for each disk come on top.
 */
const LEAST_NOFILE = 64n;
/** runc's default, and what a login shell has. */
const DEFAULT_UMASK = 0o022;

type PlannedRlimit = Rlimit & { tolerate?: string[] };

/** Each is for a container that asks for no limit of this type. */
const DEFAULT_RLIMITS: PlannedRlimit[] = [
  {
    type: "RLIMIT_NOFILE",
    soft: DEFAULT_NOFILE_SOFT,
    hard: DEFAULT_NOFILE_HARD,
    // A caller without CAP_SYS_RESOURCE and with a lower hard limit: this default was not asked for.
    tolerate: ["EPERM"],
  },
  // A monitor's core has all of its guest's memory, and core_pattern may name a program of the host that
  // gets it as root (core(5)).
  { type: "RLIMIT_CORE", soft: 0n, hard: 0n },
];

/** RLIM_INFINITY (getrlimit(2)). */
const UNLIMITED = 2n ** 64n - 1n;

/**
 * The waiter's, whose output may be a file of any size; it sets the monitor's (`file_size.ts`). Without
 * CAP_SYS_RESOURCE the caller's own stays.
 */
const FILE_SIZE: PlannedRlimit = {
  type: "RLIMIT_FSIZE",
  soft: UNLIMITED,
  hard: UNLIMITED,
  tolerate: ["EPERM"],
};

/**
 * To make namespaces for the monitor and return from them, as the container's user already: namespaces(7).
 * It is permitted and effective, and neither inheritable, nor ambient, nor in the bounding set: so an exec
 * leaves nothing of it, as uid 0 neither (capabilities(7), "Transformation of capabilities").
 */
const STARTS_MONITOR = ["CAP_SYS_ADMIN"];

/** What credential planning knows. */
export interface CredentialsInput {
  process: Process;
  /** Capabilities that the operator's configuration lets this monitor keep. */
  capabilities: string[];
  newKeyring: boolean;
  /** Capabilities that the monitor's process is started with, and gives up before anything else. */
  passed?: string[];
  /** The guest has an agent, which gives its program the limits of config.json. */
  agent?: boolean;
  /** Filters of system calls that the creator is in, and so all that it starts; 0 when not given. */
  seccompFilters?: number;
  /** The TCP port that the container's process connects to, if there is one. */
  tcpPort?: number;
}

/**
 * Steps that drop every privilege the monitor must not have. After them its process is started, and then
 * `setCapabilities` takes what that needed. The order matters:
 *
 * 1. rlimits while CAP_SYS_RESOURCE may still raise a hard limit; and a session keyring on root's
 *    quota: a user with an exhausted quota could otherwise make it fail, and so keep the caller's keys
 *    in the next container;
 * 2. what the monitor's process needs to enter a user namespace is inheritable from here on: once it is not
 *    in the bounding set, the kernel would not let it become so (capset(2));
 * 3. the bounding set needs CAP_SETPCAP, which the uid change takes away; it is emptied for uid 0
 *    too, since execve as uid 0 would otherwise regain all capabilities from it (capabilities(7));
 * 4. keep-caps before the uid changes: what starts the monitor in its namespaces needs CAP_SYS_ADMIN;
 * 5. groups, then gid, then uid: each needs a capability that the next drops. Without setgroups
 *    the caller's groups remain (CVE-2013-4291, CVE-2022-0358);
 * 6. capabilities set to exactly what is granted, normally nothing, in all sets (CVE-2022-29162), and
 *    CAP_SYS_ADMIN in those alone that no exec leaves (see `STARTS_MONITOR`), unless the monitor's process
 *    is to enter a user namespace: then that one exec leaves it;
 * 7. no_new_privs: a set-uid binary cannot regain privileges;
 * 8. what the process inherited from the caller and from Deno: signals, umask, descriptors (CVE-2024-21626),
 *    and a session keyring of the monitor's user.
 */
export function planCredentials(input: CredentialsInput): Step[] {
  const { process, capabilities, passed = [] } = input;
  if (!input.agent) requireFiles(process);
  const steps: Step[] = [];

  for (const { type, soft, hard, tolerate } of rlimitsOf(process, input.agent)) {
    const step: Step = { step: "setRlimit", type, soft: soft.toString(), hard: hard.toString() };
    steps.push(tolerate === undefined ? step : { ...step, tolerate });
  }

  // ENOSYS: the kernel has no keyrings, so none can leak.
  if (input.newKeyring) steps.push({ step: "newSessionKeyring", tolerate: ["ENOSYS"] });
  if (passed.length > 0) steps.push({ step: "inheritCapabilities", capabilities: passed });
  steps.push({ step: "dropBoundingSet", keep: capabilities });
  steps.push({ step: "keepCapabilities" });
  steps.push({ step: "setGroups", gids: groupsOf(process.user) });
  steps.push({ step: "setGid", gid: process.user.gid });
  steps.push({ step: "setUid", uid: process.user.uid });
  steps.push({
    ...{ step: "setCapabilities", capabilities, kept: STARTS_MONITOR },
    ...(passed.length === 0 ? {} : { passed }),
  });
  // A change of credentials resets it to fs.suid_dumpable. It matters most here: the other
  // threads of this process share its memory and, for uid 0, keep all capabilities until the exec.
  steps.push({ step: "undumpable" });
  steps.push({ step: "noNewPrivileges" });
  // Only now: it is for who can gain no privileges.
  steps.push({
    step: "confineToRoot",
    ...(input.tcpPort !== undefined && { tcpPort: input.tcpPort }),
  });

  steps.push({ step: "resetSignals" });
  steps.push({ step: "umask", mask: umaskOf(process.user) });
  // Again, so that it belongs to the monitor's user. When that user's quota is exhausted, the empty one
  // that was made as root stays.
  if (input.newKeyring) steps.push({ step: "newSessionKeyring", tolerate: ["ENOSYS", "EDQUOT"] });
  steps.push({ step: "closeFds" });
  return steps;
}

/**
 * The identity after the credential steps, for the proof at the barrier and after exec.
 *
 * @param filtered whether a filter of system calls is installed, too
 */
export function expectedIdentity(input: CredentialsInput, filtered: boolean): ExpectedIdentity {
  return {
    uid: input.process.user.uid,
    gid: input.process.user.gid,
    groups: groupsOf(input.process.user),
    capabilities: input.capabilities,
    noNewPrivileges: true,
    ...(filtered ? { seccompFilters: (input.seccompFilters ?? 0) + 1 } : {}),
    ...(input.process.apparmorProfile ? { apparmorProfile: input.process.apparmorProfile } : {}),
  };
}

/** additionalGids exactly: an empty list means no supplementary groups. */
export function groupsOf(user: User): number[] {
  return [...new Set(user.additionalGids)].sort((a, b) => a - b);
}

/** The file mode creation mask of a container's process. */
export function umaskOf(user: User): number {
  return user.umask ?? DEFAULT_UMASK;
}

/**
 * What config.json asks for, and defaults in place of the caller's own limits. With an agent, its limit of
 * open files is the program's, in the guest: QEMU needs some for each queue of each device and port.
 */
function rlimitsOf(process: Process, agent = false): PlannedRlimit[] {
  const asked = process.rlimits.filter(({ type }) =>
    type !== FILE_SIZE.type && !(agent && type === "RLIMIT_NOFILE")
  );
  const missing = DEFAULT_RLIMITS.filter(({ type }) => !asked.some((it) => it.type === type));
  return [...asked, ...missing, FILE_SIZE];
}

function isTooLow({ type, soft }: Rlimit): boolean {
  return type === "RLIMIT_NOFILE" && soft < LEAST_NOFILE;
}

/** @throws InvalidConfigurationError when the container's limit leaves its monitor no room */
function requireFiles(process: Process): void {
  const index = process.rlimits.findIndex(isTooLow);
  const limit = process.rlimits[index];
  if (limit === undefined) return;
  throw new InvalidConfigurationError({
    operation: "plan limits",
    subject: `process.rlimits[${index}] RLIMIT_NOFILE`,
    reason:
      `${limit.soft} open files are too few for the monitor, which is the container's process`,
    remedy: `allow at least ${LEAST_NOFILE} (docker, podman: --ulimit nofile=${LEAST_NOFILE})`,
  });
}

/** The monitor's soft limit of open files. */
export function openFilesLimit(process: Process, agent = false): number {
  return Number(rlimitsOf(process, agent).find(({ type }) => type === "RLIMIT_NOFILE")!.soft);
}
