import { LinuxError, S_IFBLK, S_IFMT, statPath } from "../../ffi/linux.ts";
import { parseMountInfo, readMounts } from "../host/mounts.ts";
import { readName } from "../os/process.ts";
import { readDeviceUsers } from "./device.ts";
import { isSameDevice, mountAt, mountsBelow } from "./mount_of.ts";
import type { DeviceNumber, MountedDisk } from "./types.ts";

/** How many are named; one is enough to begin with. */
const MOST_NAMED = 5;

/**
 * Who keeps a container's root in use: mounts in it, and other mounts of it, in any mount namespace; or
 * else open files, working directories and openers of the device; and devices made of it. For an error's text; slow.
 *
 * @returns phrases such as `pid 812 (bash) has it mounted at /mnt`; empty when none was found
 */
export function findHolders(disk: MountedDisk): string[] {
  const pids = listPids();
  const mounts = [...findMountsBelow(disk), ...findMounts(disk, pids)];
  const holders = mounts.length > 0 ? mounts : findOpeners(disk, pids);
  const users = readDeviceUsers(disk).map((name) => `the device ${name} is made of it`);
  return [...holders, ...users].slice(0, MOST_NAMED);
}

/** What stands on a directory of the root: a hook may have mounted it. */
function findMountsBelow({ mountPoint }: MountedDisk): string[] {
  const mounts = readMounts();
  const root = mountAt(mounts, mountPoint);
  if (root === undefined) return [];
  return mountsBelow(mounts, root).map((it) => `${it.type} is mounted in it at ${it.mountPoint}`);
}

/** One process for each mount namespace that has the device mounted. */
function findMounts(disk: MountedDisk, pids: number[]): string[] {
  const own = Deno.readLinkSync("/proc/self/ns/mnt");
  const seen = new Set<string>();
  return pids.flatMap((pid) =>
    ofProcess([], () => {
      const namespace = Deno.readLinkSync(`/proc/${pid}/ns/mnt`);
      if (seen.has(namespace)) return [];
      seen.add(namespace);
      return parseMountInfo(Deno.readTextFileSync(`/proc/${pid}/mountinfo`))
        .filter(({ device }) => isSameDevice(device, disk))
        // The one that could not be unmounted is not what is in its own way.
        .filter(({ mountPoint }) => namespace !== own || mountPoint !== disk.mountPoint)
        .map(({ mountPoint }) => `${describe(pid)} has it mounted at ${mountPoint}`);
    })
  );
}

function findOpeners(device: DeviceNumber, pids: number[]): string[] {
  return pids.flatMap((pid) =>
    ofProcess([], () => {
      const links = ["cwd", "root", ...openFiles(pid)].map((name) => `/proc/${pid}/${name}`);
      const link = links.find((path) => leadsTo(path, device));
      if (link === undefined) return [];
      return [`${describe(pid)} has ${ofProcess("something", () => Deno.readLinkSync(link))} open`];
    })
  );
}

function openFiles(pid: number): string[] {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => `fd/${name}`);
}

/** Whether it is a file of the device's file system, or the device itself. */
function leadsTo(path: string, device: DeviceNumber): boolean {
  return ofProcess(false, () => {
    const { dev, rdev, mode } = statPath(path);
    return isSameDevice(dev, device) ||
      (mode & S_IFMT) === S_IFBLK && isSameDevice(rdev, device);
  });
}

function describe(pid: number): string {
  const name = ofProcess("", () => readName(pid) ?? "");
  return `pid ${pid} (${name})`;
}

function listPids(): number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter(Number.isInteger);
}

/** Processes end, and kernel threads have no files: neither is an error. */
function ofProcess<T>(otherwise: T, read: () => T): T {
  try {
    return read();
  } catch (error) {
    // Deno's errors of files have an errno, too.
    if (error instanceof LinuxError || error instanceof Error && "code" in error) return otherwise;
    throw error;
  }
}
