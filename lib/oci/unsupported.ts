import type { UnsupportedProperties, UnsupportedProperty } from "./types.ts";
import { isBlockDevice } from "./disk_devices.ts";
import { isInitProgram } from "./init_program.ts";
import { mapsOfMount } from "./id_mappings.ts";
import type { IdMaps, Mount, Spec } from "./types.ts";

type Finder = (spec: Spec, document: Document) => UnsupportedProperty[];

/** The raw document, for properties that nothing else reads. */
type Document = { process?: Record<string, unknown>; linux?: Record<string, unknown> };

/**
 * Finds what config.json asks for and a guest cannot be given: it must not be dropped silently.
 *
 * @param spec what `parseSpec` made of the document
 * @param document config.json as JSON
 */
export function findUnsupported(spec: Spec, document: unknown): UnsupportedProperties {
  const find = (finders: Record<string, Finder>) =>
    Object.values(finders).flatMap((finder) => finder(spec, document as Document));
  return { refused: find(refusedProperties), warned: find(warnedProperties) };
}

/** By the property's name in the table. */
export const refusedProperties: Record<string, Finder> = {
  "mounts": ({ mounts }) =>
    mounts.flatMap((mount, index) =>
      reachesGuest(mount) || mayBeDisk(mount) ? [] : [
        mount.type === "tmpfs" && !isBind(mount)
          ? unmadeFileSystem(mount, index)
          : unseenVolume(mount, index),
      ]
    ),
  "linux.devices": ({ linux }) =>
    linux.devices.filter((device) =>
      !CONVENTIONAL_DEVICES.has(device.path) && !isBlockDevice(device)
    ).map(({ path }) => ({
      property: `linux.devices ${path}`,
      reason: "a guest has no access to devices of the host but block devices, which are its disks",
      remedy:
        "leave the device out; docker and podman pass on all of them for --privileged, and so do " +
        "containerd and CRI-O for privileged pods without privileged_without_host_devices = true in " +
        "the runtime's table",
    })),
  "process.selinuxLabel": ({ process }) =>
    unsupported(process.selinuxLabel, "process.selinuxLabel", "SELinux labels are not set yet", {
      remedy: "docker and podman: --security-opt label=disable",
    }),
  "process.scheduler": (_, { process }) =>
    unsupported(process?.scheduler, "process.scheduler", "scheduling policies are not set"),
  "process.ioPriority": (_, { process }) =>
    unsupported(process?.ioPriority, "process.ioPriority", "I/O priorities are not set"),
  "process.execCPUAffinity": (_, { process }) =>
    unsupported(process?.execCPUAffinity, "process.execCPUAffinity", "CPU affinity is not set", {
      remedy: "use linux.resources.cpu.cpus",
    }),
  "linux.personality": (_, { linux }) =>
    unsupported(linux?.personality, "linux.personality", "a guest has its own kernel"),
  "linux.intelRdt": (_, { linux }) =>
    unsupported(linux?.intelRdt, "linux.intelRdt", "cache and bandwidth allocation is not set"),
  "linux.timeOffsets": (_, { linux }) =>
    unsupported(linux?.timeOffsets, "linux.timeOffsets", "a guest has its own clock"),
  "linux.netDevices": (_, { linux }) =>
    unsupported(linux?.netDevices, "linux.netDevices", "network devices are not moved"),
};

/** By the property's name in the table. */
export const warnedProperties: Record<string, Finder> = {
  "process.cwd": ({ process }) =>
    process.cwd === "/" ? [] : [{
      property: `process.cwd ${process.cwd}`,
      reason: "the guest does not get a working directory: its own init has one",
      givenByAgent: true,
    }],
  "linux.namespaces": ({ linux }) =>
    linux.namespaces.some(({ type }) => type === "network") ? [] : [{
      property: "linux.namespaces without network",
      reason: "the guest has no network: it cannot share the host's",
    }],
};

/**
 * File systems that engines give every container. The guest has its own kernel with its own /proc,
 * /sys and /dev, so nothing is missing.
 */
const CONVENTIONAL_TYPES = new Set([
  "proc",
  "sysfs",
  "devpts",
  "devtmpfs",
  "mqueue",
  "cgroup",
  "cgroup2",
]);

/** Places where engines mount memory file systems for every container. */
const CONVENTIONAL_TMPFS = new Set([
  "/dev",
  "/dev/shm",
  "/run",
  "/run/lock",
  "/tmp",
  "/var/tmp",
  "/sys/fs/cgroup",
]);

/**
 * Files and directories that docker, podman, containerd and the kubelet bind into every container:
 * names and addresses, which the guest gets from its network set-up, and what only an ordinary
 * process can use.
 */
const CONVENTIONAL_BINDS = new Set([
  "/dev/mqueue",
  "/dev/shm",
  "/dev/termination-log",
  "/etc/group",
  "/etc/hostname",
  "/etc/hosts",
  "/etc/passwd",
  "/etc/resolv.conf",
  "/proc",
  "/run/.containerenv",
  "/run/secrets",
  "/run/secrets/kubernetes.io/serviceaccount",
  "/sys",
  "/sys/fs/cgroup",
  "/var/run/secrets/kubernetes.io/serviceaccount",
]);

/** Nodes that the specification promises every container (config-linux.md, "Default Devices"). */
const CONVENTIONAL_DEVICES = new Set([
  "/dev/console",
  "/dev/full",
  "/dev/fuse",
  "/dev/null",
  "/dev/ptmx",
  "/dev/random",
  "/dev/tty",
  "/dev/urandom",
  "/dev/zero",
]);

/** What engines bind into every container that a guest has of its own, or gets by its agent. */
const GUEST_OWN = new Set([
  "/dev/mqueue",
  "/dev/shm",
  "/etc/hostname",
  "/proc",
  "/sys",
  "/sys/fs/cgroup",
]);

/** A file or directory of the host that the container is to have, and its place in `mounts`. */
export interface VolumeMount {
  mount: Mount & { source: string };
  index: number;
}

/**
 * Files and directories of the host that a guest can see only when they are shared with it.
 *
 * @param conventional with those, too, that engines bind into every container
 */
export function volumeMounts(
  { mounts }: Pick<Spec, "mounts">,
  conventional: boolean,
): VolumeMount[] {
  return mounts.flatMap((mount, index) => {
    const { source, destination } = mount;
    if (source === undefined || !isBind(mount) || mayBeDisk(mount)) return [];
    if (isInitProgram(destination) || GUEST_OWN.has(destination)) return [];
    if (!conventional && CONVENTIONAL_BINDS.has(destination)) return [];
    return [{ mount: { ...mount, source }, index }];
  });
}

/** A volume that may be a disk of the guest's own. */
export interface DiskMount extends VolumeMount {
  /** Who the owners on its disk are on the host, when they are others. */
  maps?: IdMaps;
}

/**
 * Volumes whose sources are named like block devices or disk images: what they really are is
 * checked later.
 */
export function diskMounts({ mounts, linux }: Pick<Spec, "mounts" | "linux">): DiskMount[] {
  return mounts.flatMap((mount, index) =>
    !reachesGuest(mount) && mayBeDisk(mount)
      ? [{ mount, index, maps: mapsOfMount(mount, linux) }]
      : []
  );
}

function mayBeDisk(mount: Mount): mount is Mount & { source: string } {
  const { source = "", destination } = mount;
  const named = SUB_PATH.test(source) ? destination : source;
  return isBind(mount) && (/^\/dev\/./.test(source) || /^\/.*\.(img|raw)$/.test(named));
}

/**
 * What the kubelet binds for a `subPath`, by a path that has nothing of the file's name: its place in the
 * container has the one that counts (kubernetes, pkg/volume/util/subpath/subpath_linux.go).
 */
const SUB_PATH = /\/volume-subpaths\/[^/]+\/[^/]+\/\d+$/;

/** Whether a mount is of a file or directory of the host. */
export function isBind({ type, options }: Pick<Mount, "type" | "options">): boolean {
  return type === "bind" || options.includes("bind") || options.includes("rbind");
}

function reachesGuest(mount: Mount): boolean {
  const { type, destination } = mount;
  if (isBind(mount)) return CONVENTIONAL_BINDS.has(destination) || isInitProgram(destination);
  if (type === undefined || CONVENTIONAL_TYPES.has(type)) return type !== undefined;
  return type === "tmpfs" && CONVENTIONAL_TMPFS.has(destination);
}

/**
 * The finding for a volume that the guest would not see.
 *
 * @param index of `mounts`
 */
export function unseenVolume(mount: Mount, index: number): UnsupportedProperty {
  const { destination, source } = mount;
  return {
    property: `mounts[${index}] ${source ?? ""} at ${destination}`.replace("  ", " "),
    reason:
      "the guest would not see it: volumes are shared only with Linux guests that have an agent, " +
      "on a monitor with a device for that",
    remedy:
      "leave the volume out, or put its content into the image or the initrd; a block device, " +
      "or a disk image named .img or .raw, can be a disk of the guest",
    ...(source !== undefined && isBind(mount) ? { givenByAgent: true } : {}),
  };
}

/** What podman mounts for a program that it takes for systemd: podman-run(1), --systemd. */
const SYSTEMD_MOUNTS = new Set(["/run", "/run/lock", "/tmp", "/var/log/journal"]);
const SYSTEMD_MODE = "podman adds it when the program is called init or systemd: --systemd=false";

/** Only an agent mounts anything in its guest. */
function unmadeFileSystem({ destination }: Mount, index: number): UnsupportedProperty {
  return {
    property: `mounts[${index}] tmpfs at ${destination}`,
    reason: "nothing in the guest would mount it",
    remedy: "give the guest an agent (com.urunc.unikernel.agent), or leave the mount out" +
      (SYSTEMD_MOUNTS.has(destination) ? `; ${SYSTEMD_MODE}` : ""),
    givenByAgent: true,
  };
}

function unsupported(
  value: unknown,
  property: string,
  reason: string,
  options: { remedy?: string } = {},
): UnsupportedProperty[] {
  const absent = value === undefined || value === null || value === "" ||
    (typeof value === "object" && Object.keys(value).length === 0);
  return absent ? [] : [{ property, reason, ...options }];
}
