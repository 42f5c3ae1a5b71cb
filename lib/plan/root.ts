import { mayAccess, READ } from "../host/access.ts";
import { parentPath } from "../os/path.ts";
import type { LibraryDirectory } from "../host/types.ts";
import type { HostFacts, ImageFileFacts } from "../inspect/types.ts";
import type { MonitorFile } from "../monitor/types.ts";
import type { User } from "../oci/types.ts";
import { type GuestProcess, initrdSegment } from "../guest/initrd/segment.ts";
import type { Step } from "./types.ts";

/** Where the guest's boot files stand in the clean room, whatever the image calls them. */
export const GUEST_KERNEL = "/guest/kernel";
export const GUEST_INITRD = "/guest/initrd";

/** What {@linkcode DiskFacts} calls the disk that holds the image's own root. */
export const ROOT_DISK = "rootfs";

/** Room for directories, symlinks and mount points; copied files are added to it. Bytes. */
const ROOT_TMPFS_BYTES = 1024 * 1024;
const DEV_TMPFS_BYTES = 64 * 1024;

/** An image file and where the clean room has it. */
interface BootFile {
  facts: ImageFileFacts;
  target: string;
  prepend?: GuestProcess;
}

/** What the clean-room root is planned from. */
export interface RootInput {
  facts: HostFacts;
  user: User;
  /** Image root on the host. */
  rootfs: string;
  /** Host directory on which the monitor's root is mounted, in the container's namespace only. */
  mountPoint: string;
  /** Steps that make the device nodes, after /dev is there. */
  devices: Step[];
  needsTunDirectory: boolean;
  /** Steps that bring the guest's disk images in, or open them. */
  disks?: Step[];
  /** Put before the initial RAM disk. */
  handed?: GuestProcess;
  /** Files made for the monitor. */
  files?: MonitorFile[];
}

/**
 * Steps that build the monitor's root: a fresh tmpfs with the monitor, its libraries and data, the
 * guest's boot files and a private /dev. The image is never mounted into it, so no path of the
 * image can steer a mount (CVE-2025-31133 and its kin).
 */
export function planRoot(input: RootInput): Step[] {
  const { facts, user } = input;
  const bootFiles = bootFilesOf(facts, input.handed);
  const copied = bootFiles.filter((file) => mustBeCopied(file, user, facts));
  const tree = new Tree();

  for (const directory of facts.libraryDirectories) tree.addLibrary(directory);
  for (const { path, kind } of facts.monitor.dataPaths) tree.bind(path, kind);
  tree.bind(facts.monitor.binary, "file");
  tree.makeParents(GUEST_KERNEL);

  const guestSteps = bootFiles.map((file): Step =>
    copied.includes(file)
      ? {
        step: "copyImageFile",
        source: file.facts.path,
        target: file.target,
        uid: user.uid,
        gid: user.gid,
        maximumBytes: file.facts.size,
        ...(file.prepend === undefined ? {} : { prepend: file.prepend }),
      }
      : { step: "bindImageFile", source: file.facts.path, target: file.target }
  );

  return [
    // The caller's would take bits away: a root that only root may enter.
    { step: "umask", mask: 0 },
    { step: "openImageRoot", path: input.rootfs },
    {
      step: "mountRoot",
      path: input.mountPoint,
      sizeBytes: ROOT_TMPFS_BYTES + totalSize(copied),
    },
    ...tree.steps,
    ...guestSteps,
    ...(input.disks ?? []),
    ...(input.files ?? []).map(({ path, content }): Step => (
      { step: "writeFile", path, uid: user.uid, gid: user.gid, content }
    )),
    { step: "mkdir", path: "/dev", mode: 0o755 },
    { step: "mountTmpfs", path: "/dev", sizeBytes: DEV_TMPFS_BYTES, mode: 0o755, devices: true },
    ...(input.needsTunDirectory ? [mkdirStep("/dev/net")] : []),
    ...input.devices,
  ];
}

/**
 * Bytes of boot files that must be copied, because this user could not read them, something is put
 * before them, or the file system that they are in becomes the guest's.
 */
export function copiedBytes(facts: HostFacts, user: User, handed?: GuestProcess): number {
  return totalSize(bootFilesOf(facts, handed).filter((file) => mustBeCopied(file, user, facts)));
}

function bootFilesOf(facts: HostFacts, handed?: GuestProcess): BootFile[] {
  const files: BootFile[] = [{ facts: facts.kernel, target: GUEST_KERNEL }];
  if (facts.initrd !== undefined) {
    files.push({ facts: facts.initrd, target: GUEST_INITRD, prepend: handed });
  }
  return files;
}

function mustBeCopied(file: BootFile, user: User, facts: HostFacts): boolean {
  // A bind would keep the image's file system mounted while the guest writes to it.
  const leaves = facts.disks?.some(({ name }) => name === ROOT_DISK);
  return leaves === true || file.prepend !== undefined || !readableBy(file.facts, user);
}

function totalSize(files: BootFile[]): number {
  const prepended = ({ prepend }: BootFile) =>
    prepend === undefined ? 0 : initrdSegment(prepend).length;
  return files.reduce((sum, file) => sum + prepended(file) + file.facts.size, 0);
}

/**
 * Whether the monitor could open the file itself: then it is bound, and costs no memory. The
 * monitor has no capability, so uid 0 is an ordinary user here. Only the permission bits count: an
 * ACL that would deny makes the monitor fail with EACCES, and grants nothing.
 */
function readableBy(file: ImageFileFacts, { uid, gid, additionalGids }: User): boolean {
  return mayAccess(file, { uid, gid, groups: additionalGids }, READ);
}

function mkdirStep(path: string): Step {
  return { step: "mkdir", path, mode: 0o755 };
}

/** Collects binds, each parent directory made once, nothing bound twice or inside another bind. */
class Tree {
  readonly steps: Step[] = [];
  #made = new Set<string>(["/"]);
  #bound: string[] = [];

  addLibrary(directory: LibraryDirectory): void {
    if (directory.kind === "directory") {
      this.bind(directory.path, "directory");
    } else if (!this.#covered(directory.path)) {
      this.makeParents(directory.path);
      this.steps.push({ step: "symlink", path: directory.path, target: directory.target });
      this.#bound.push(directory.path);
    }
  }

  bind(path: string, kind: "directory" | "file"): void {
    if (this.#covered(path)) return;
    this.makeParents(path);
    this.steps.push({ step: "bindHost", source: path, target: path, kind });
    this.#bound.push(path);
  }

  makeParents(path: string): void {
    const parent = parentPath(path);
    if (this.#made.has(parent)) return;
    this.makeParents(parent);
    this.steps.push(mkdirStep(parent));
    this.#made.add(parent);
  }

  #covered(path: string): boolean {
    return this.#bound.some((bound) => path === bound || path.startsWith(`${bound}/`));
  }
}
