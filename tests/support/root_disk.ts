/** Containers whose root is a file system of its own on a loop device, as a snapshotter makes it. */
import { run, waitFor } from "./process.ts";
import type { Container } from "./runtime.ts";
import type { Scope } from "./scope.ts";

/** What {@linkcode putOnDisk} needs of the machine. */
export const ROOT_DISK_NEEDS = ["root", "mkfs.ext4", "e2fsck", "mount", "umount", "losetup"];

/** The annotation that asks for it. */
export const ROOT_DISK_ANNOTATION = { "com.urunc.unikernel.mountRootfs": "true" };

/** A root on a loop device. */
export interface RootDiskImage {
  /** The file with the file system. */
  file: string;
  /** The loop device, while it is one. */
  device: string;
  major: number;
  minor: number;
  /** Bytes. */
  size: number;
}

/**
 * Makes a file system of a container's root and mounts it in its place, through a loop device that
 * goes with its last user.
 */
export async function putOnDisk(
  scope: Scope,
  { rootfs, bundle }: Pick<Container, "rootfs" | "bundle">,
  megabytes = 32,
): Promise<RootDiskImage> {
  const file = `${bundle}/disk.ext4`;
  await run(["mkfs.ext4", "-q", "-d", rootfs, file, `${megabytes}M`], { check: true });
  await Deno.remove(rootfs, { recursive: true });
  await Deno.mkdir(rootfs);
  await run(["mount", "-o", "loop", file, rootfs], { check: true });
  scope.defer(`unmount ${rootfs}`, async () => {
    while ((await run(["umount", rootfs])).code === 0);
  });
  const list = ["losetup", "--noheadings", "--output", "NAME,MAJ:MIN", "--associated", file];
  const { stdout } = await run(list, { check: true });
  const [device = "", numbers = ""] = stdout.trim().split(/\s+/);
  const [major = NaN, minor = NaN] = numbers.split(":").map(Number);
  return { file, device, major, minor, size: megabytes * 1024 * 1024 };
}

/** Whether anything is mounted at a path, in this process's mount namespace. */
export function isMountPoint(path: string): boolean {
  const escaped = path.replaceAll("\\", "\\134").replaceAll(" ", "\\040");
  return Deno.readTextFileSync("/proc/self/mountinfo").split("\n")
    .some((line) => line.split(" ")[4] === escaped);
}

/**
 * Fails unless a disk is nobody's any more: its loop device goes with its last user. A mount namespace that
 * somebody else has made meanwhile is a copy of this one, and uses it, too, until it ends.
 */
export async function assertReleased(file: string): Promise<void> {
  const isFree = async () =>
    (await run(["losetup", "--associated", file], { check: true })).stdout === "";
  await waitFor(isFree, { timeoutSeconds: 60, what: `the loop device of ${file} to go` });
  await assertClean(file);
}

/** Fails unless e2fsck finds nothing to repair and no journal to replay. */
export async function assertClean(file: string): Promise<void> {
  const { code, stdout, stderr } = await run(["e2fsck", "-fn", file]);
  if (code !== 0) throw new Error(`e2fsck: ${code}: ${stdout}${stderr}`);
  const { stdout: state } = await run(["dumpe2fs", "-h", file]);
  if (/needs_recovery/.test(state)) throw new Error("the journal was not replayed");
}
