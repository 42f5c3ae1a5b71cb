/** As whom and with what the agent of a Linux guest runs the program: config.json's `process`. */
export interface AgentProcess {
  uid: number;
  gid: number;
  groups: number[];
  umask: number;
  cwd: string;
  hostname?: string;
  domainname?: string;
  /** The waiter is reached by vsock, and not by ports. */
  vsock?: true;
  /** Limits in decimal: they have up to 64 bits. */
  rlimits: { type: string; soft: string; hard: string }[];
  /** Masks in hexadecimal, a bit for each capability. */
  capabilities: Record<typeof CAPABILITY_SETS[number], string>;
  noNewPrivileges: boolean;
  /** Parameters of the guest's kernel by their names, as sysctl(8) writes those. */
  sysctls: Record<string, string>;
  /** In the order in which they are mounted. */
  mounts: GuestMount[];
  /** How many files of the host its file server may have open, where it has one: one for each that it knows. */
  openFiles?: number;
  /** Disks that the program knows by nodes of their own. */
  devices: GuestDevice[];
  /** Paths that the program sees nothing of. */
  maskedPaths: string[];
  /** Paths that it cannot write to. */
  readonlyPaths: string[];
  /** It cannot write to its root. */
  readOnlyRoot: boolean;
  /** The filter of system calls that it, and further processes, get: seccomp(2). */
  seccomp?: {
    flags: number;
    /** struct sock_filter, one after the other, in base64. */
    program: string;
  };
}

/**
 * The type of a mount that is a part of what is shared with the guest. Its options are the path in there:
 * `v/0` of a directory, `v/0/file` of a file.
 */
export const SHARED = "virtiofs";

/** The type of a tmpfs that begins with a copy of what its place has. */
export const COPIES = "tmpcopyup";

/** A file system of the guest's kernel, or what is shared with the guest: {@linkcode SHARED}. */
export interface GuestMount {
  /** Absolute. */
  target: string;
  type: string;
  /** Of mount(2). */
  flags: number;
  /** Of the file system, separated by commas. */
  options: string;
}

/** The directory of a volume in what is shared with the guest; a volume that is a file is `file` in it. */
export function volumeDirectory(position: number): string {
  return `v/${position}`;
}

/** A file or directory of the host that a guest gets a copy of. */
export interface CopiedTree {
  /** Absolute path on the host. */
  source: string;
  /** See {@linkcode volumeDirectory}. */
  path: string;
  isFile: boolean;
  /** Size of the archive, at most. */
  bytes: number;
}

/** A node of a disk, besides the kernel's own. */
export interface GuestDevice {
  /** Of the disk, below /dev in the guest. */
  disk: string;
  /** Absolute, below /dev. */
  path: string;
  /** Permission bits. */
  mode: number;
  uid: number;
  gid: number;
}

/** What an agent makes the guest's root. */
export interface AgentRoot {
  /** A disk, by its name below /dev in the guest; undefined: the container's root, which is shared. */
  disk?: string;
  readOnly: boolean;
}

/** In the order of `/urunc/process`. */
export const CAPABILITY_SETS = [
  "bounding",
  "effective",
  "inheritable",
  "permitted",
  "ambient",
] as const;

/** By their numbers, from 0: include/uapi/asm-generic/resource.h. */
const RLIMITS =
  ("CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE " +
    "NICE RTPRIO RTTIME").split(" ").map((name) => `RLIMIT_${name}`);

/**
 * `/urunc/process`: `NAME=VALUE`, each followed by a NUL. Its reader is `parse_process` in
 * lib/build/guest_init/run.c.
 */
export function processFile(process: AgentProcess, root?: AgentRoot): Uint8Array {
  const { uid, gid, groups, umask, cwd, hostname, domainname, rlimits, capabilities, sysctls } =
    process;
  const records = [
    `uid=${uid}`,
    `gid=${gid}`,
    ...(groups.length === 0 ? [] : [`groups=${groups.join(",")}`]),
    `umask=${umask}`,
    ...(root === undefined ? [] : [rootRecord(root)]),
    `cwd=${cwd}`,
    ...(hostname === undefined ? [] : [`hostname=${hostname}`]),
    ...(domainname === undefined ? [] : [`domainname=${domainname}`]),
    ...rlimits.map(({ type, soft, hard }) => `limit=${RLIMITS.indexOf(type)}:${soft}:${hard}`),
    `capabilities=${CAPABILITY_SETS.map((set) => capabilities[set]).join(":")}`,
    ...Object.entries(sysctls).map(([key, value]) => `sysctl=${key.replaceAll(".", "/")}=${value}`),
    ...(process.vsock ? ["vsock"] : []),
    ...(process.noNewPrivileges ? ["no-new-privileges"] : []),
    ...process.mounts.map(({ flags, type, options, target }) =>
      `mount=${flags.toString(16)} ${type} ${options} ${target}`
    ),
    ...(process.openFiles === undefined ? [] : [`open-files=${process.openFiles}`]),
    ...process.devices.map(({ mode, uid, gid, disk, path }) =>
      `device=${mode.toString(8)} ${uid} ${gid} ${disk} ${path}`
    ),
    ...process.maskedPaths.map((path) => `masked=${path}`),
    ...process.readonlyPaths.map((path) => `read-only=${path}`),
    ...(process.readOnlyRoot ? ["read-only-root"] : []),
  ];
  return new TextEncoder().encode(records.map((record) => `${record}\0`).join(""));
}

function rootRecord({ disk, readOnly }: AgentRoot): string {
  const mode = readOnly ? "ro" : "rw";
  return disk === undefined ? `shared-root=${mode}` : `root=${disk}:${mode}`;
}
