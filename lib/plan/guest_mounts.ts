import { COPIES, type GuestMount, SHARED } from "../guest/initrd/process.ts";
import { configJson } from "../oci/config_json.ts";
import type { Mount, Spec } from "../oci/types.ts";
import { sharedPath, type SharedVolume } from "./shared_files.ts";

/** linux/mount.h. */
const MS_RDONLY = 1;
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MS_SYNCHRONOUS = 16;
const MS_DIRSYNC = 128;
const MS_NOATIME = 1024;
const MS_NODIRATIME = 2048;
const MS_RELATIME = 1 << 21;
const MS_STRICTATIME = 1 << 24;

const RESTRICTED = MS_NOSUID | MS_NODEV | MS_NOEXEC;

/** What an option sets or clears: mount(8), "Filesystem-independent mount options". */
const FLAGS: Readonly<Record<string, { set?: number; clear?: number }>> = {
  ro: { set: MS_RDONLY },
  rw: { clear: MS_RDONLY },
  nosuid: { set: MS_NOSUID },
  suid: { clear: MS_NOSUID },
  nodev: { set: MS_NODEV },
  dev: { clear: MS_NODEV },
  noexec: { set: MS_NOEXEC },
  exec: { clear: MS_NOEXEC },
  sync: { set: MS_SYNCHRONOUS },
  async: { clear: MS_SYNCHRONOUS },
  dirsync: { set: MS_DIRSYNC },
  noatime: { set: MS_NOATIME },
  atime: { clear: MS_NOATIME },
  nodiratime: { set: MS_NODIRATIME },
  diratime: { clear: MS_NODIRATIME },
  relatime: { set: MS_RELATIME },
  norelatime: { clear: MS_RELATIME },
  strictatime: { set: MS_STRICTATIME },
  nostrictatime: { clear: MS_STRICTATIME },
  defaults: {},
};

/** Options without a meaning for a mount of the guest's kernel: propagation (runc's libcontainer/specconv). */
const WITHOUT_MEANING = /^r?(private|shared|slave|unbindable)$/;

/** For a tmpfs alone: it begins with what the image has there (config.md, "Linux mount options"). */
const COPY = "tmpcopyup";

/** File systems that the guest's kernel makes by itself. */
const KERNEL_TYPES = new Set(["proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2"]);

/**
 * What the specification promises every container (config-linux.md, "Default Filesystems"), and runc's
 * options of each, where config.json does not name it.
 */
const DEFAULTS: readonly GuestMount[] = [
  { target: "/proc", type: "proc", flags: RESTRICTED, options: "" },
  { target: "/sys", type: "sysfs", flags: RESTRICTED, options: "" },
  {
    target: "/dev/pts",
    type: "devpts",
    flags: MS_NOSUID | MS_NOEXEC,
    options: "newinstance,ptmxmode=0666,mode=0620,gid=5",
  },
  { target: "/dev/shm", type: "tmpfs", flags: RESTRICTED, options: "mode=1777,size=65536k" },
  { target: "/dev/mqueue", type: "mqueue", flags: RESTRICTED, options: "" },
];

/**
 * The file systems that an agent mounts in its guest: those of config.json that a kernel makes, and volumes
 * that are shared with it, in that order. `/dev` is always the guest kernel's own devtmpfs: its disks are
 * there.
 */
export function guestMounts(
  { mounts }: Pick<Spec, "mounts">,
  volumes: readonly SharedVolume[] = [],
): GuestMount[] {
  const shared = new Map(volumes.map((it, position) => [it.index, sharedMount(it, position)]));
  const own = mounts.flatMap((mount, index) =>
    isKernels(mount) ? [guestMount(mount, index)] : shared.get(index) ?? []
  );
  const missing = DEFAULTS.filter(({ target }) => !own.some((it) => it.target === target));
  return [...missing, ...own];
}

/** Whether a mount of config.json is made in a guest with an agent. */
function isKernels({ type, destination, options }: Mount): boolean {
  const isBind = options.includes("bind") || options.includes("rbind");
  return type !== undefined && KERNEL_TYPES.has(type) && !isBind && destination !== "/dev";
}

function guestMount({ destination, type, options }: Mount, index: number): GuestMount {
  const spaced = options.find((option) => option.includes(" "));
  if (spaced !== undefined) {
    throw configJson(`mounts[${index}].options`).invalid(JSON.stringify(spaced), "no spaces");
  }
  const isCgroup = type === "cgroup" || type === "cgroup2";
  const data = options.filter((it) =>
    flagOf(it) === undefined && !WITHOUT_MEANING.test(it) && it !== COPY
  );
  const copies = type === "tmpfs" && options.includes(COPY);
  return {
    target: destination,
    // The guest has its own, whichever version the host has: it shows no host's.
    type: isCgroup ? "cgroup2" : copies ? COPIES : type!,
    flags: flagsOf(options),
    options: isCgroup ? "" : data.join(","),
  };
}

function sharedMount(volume: SharedVolume, position: number): GuestMount {
  const { destination, options, readOnly } = volume;
  // A recursive one, rro, is one as well.
  const flags = flagsOf(options) & ~MS_RDONLY | (readOnly ? MS_RDONLY : 0);
  return { target: destination, type: SHARED, flags, options: sharedPath(position, volume) };
}

/**
 * Recursive options, `rnoexec` and the like, hold after all others (config.md, "Linux mount options"). In a
 * guest they are as those of the mount: what the host has mounted below it is part of it, with its flags.
 */
function flagsOf(options: readonly string[]): number {
  const recursive = options.filter(isRecursive);
  return [...options.filter((it) => !isRecursive(it)), ...recursive].reduce(withOption, 0);
}

function isRecursive(option: string): boolean {
  return !Object.hasOwn(FLAGS, option) && flagOf(option) !== undefined;
}

function flagOf(option: string): { set?: number; clear?: number } | undefined {
  const names = option.startsWith("r") ? [option, option.slice(1)] : [option];
  const name = names.find((it) => Object.hasOwn(FLAGS, it));
  return name === undefined ? undefined : FLAGS[name];
}

function withOption(flags: number, option: string): number {
  const { set = 0, clear = 0 } = flagOf(option) ?? {};
  return flags & ~clear | set;
}
