import { mayAccess, READ } from "../host/access.ts";
import { parentPath } from "../os/path.ts";
import type { HostFacts, ImageFileFacts } from "../inspect/types.ts";
import type { MonitorFile } from "../monitor/types.ts";
import type { User } from "../oci/types.ts";
import { type GuestProcess, segmentBytes } from "../guest/initrd/segment.ts";
import type { Step } from "./types.ts";
import { VSOCK_DIRECTORY, type VsockSocket } from "./vsock.ts";

/** Paths of the guest's boot files in the clean room, whatever the image calls them. */
export const GUEST_KERNEL = "/guest/kernel";
export const GUEST_INITRD = "/guest/initrd";

/** Name in {@linkcode DiskFacts} of the disk with the image's own root. */
export const ROOT_DISK = "rootfs";

/** Size for directories, symlinks and mount points, to which copied files are added. Bytes. */
const ROOT_TMPFS_BYTES = 1024 * 1024;
const DEV_TMPFS_BYTES = 64 * 1024;
/** Sockets take none; 0 would be no limit (tmpfs(5)). */
const VSOCK_TMPFS_BYTES = 4096;
/** The directory, the monitor's socket, and those of an agent's four ports, name server and further processes. */
const VSOCK_FILES = 8;

/** An image file and its path in the clean room. */
interface BootFile {
  facts: ImageFileFacts;
  target: string;
  prepend?: GuestProcess;
}

/** Input for planning the clean-room root. */
export interface RootInput {
  facts: HostFacts;
  user: User;
  /** Image root on the host. */
  rootfs: string;
  /** Host directory where the monitor's root is mounted, in the container's namespace only. */
  mountPoint: string;
  /** Steps that create the device nodes, after /dev. */
  devices: Step[];
  needsTunDirectory: boolean;
  /** Steps that bind or open the guest's disk images. */
  disks?: Step[];
  /** Steps that make room for the guest's memory. */
  memory?: Step[];
  /** An archive that is prepended to the initial RAM disk. */
  initrdProcess?: GuestProcess;
  /** Files written for the monitor. */
  files?: MonitorFile[];
  /** Where the monitor writes a log that the container's process reads. */
  log?: string;
  /** Those to which the guest's agent connects by vsock. */
  vsock?: VsockSocket[];
}

/**
 * Steps that build the monitor's root: a fresh tmpfs with the monitor, its libraries and data, the
 * guest's boot files and a private /dev. The image is never mounted into it, so a path
 * in the image cannot redirect a mount (CVE-2025-31133 and similar).
 */
export function planRoot(input: RootInput): Step[] {
  const { facts, user } = input;
  const bootFiles = bootFilesOf(facts, input.initrdProcess);
  const copied = bootFiles.filter((file) => mustBeCopied(file, user, facts));
  const nodeFiles = [...nodeKernelFiles(facts), ...ownInitrd(input)];
  const tree = new Tree();

  for (const { path, kind } of facts.monitor.dataPaths) tree.bind(path, kind);
  tree.bind(facts.monitor.binary, "file");
  tree.bindLibraries(facts.libraries);
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
    // The caller's would remove permissions: only root could enter the root directory.
    { step: "umask", mask: 0 },
    { step: "openImageRoot", path: input.rootfs },
    {
      step: "mountRoot",
      path: input.mountPoint,
      sizeBytes: ROOT_TMPFS_BYTES + totalSize(copied) + ownInitrdBytes(facts, input.initrdProcess),
    },
    ...tree.steps,
    ...nodeFiles,
    ...guestSteps,
    ...(input.disks ?? []),
    ...(input.memory ?? []),
    ...(input.files ?? []).map(({ path, content }): Step => (
      { step: "writeFile", path, uid: user.uid, gid: user.gid, content }
    )),
    ...(input.log === undefined
      ? []
      : [{ step: "openLog", path: input.log, uid: user.uid, gid: user.gid } as const]),
    ...vsockSteps(input),
    { step: "mkdir", path: "/dev", mode: 0o755 },
    { step: "mountTmpfs", path: "/dev", sizeBytes: DEV_TMPFS_BYTES, mode: 0o755, devices: true },
    ...(input.needsTunDirectory ? [mkdirStep("/dev/net")] : []),
    ...input.devices,
  ];
}

/** The one directory that the monitor can write to, with no room for more than its sockets. */
function vsockSteps({ vsock, user: { uid, gid } }: RootInput): Step[] {
  if (vsock === undefined) return [];
  return [
    mkdirStep(VSOCK_DIRECTORY),
    {
      step: "mountTmpfs",
      path: VSOCK_DIRECTORY,
      sizeBytes: VSOCK_TMPFS_BYTES,
      mode: 0o700,
      devices: false,
      ...{ uid, gid, files: VSOCK_FILES },
    },
    { step: "listenForAgent", directory: VSOCK_DIRECTORY, uid, gid, sockets: vsock },
  ];
}

/**
 * Bytes of boot files that must be copied: because this user could not read them, an archive is
 * prepended to them, or their file system becomes the guest's disk.
 */
export function copiedBytes(facts: HostFacts, user: User, initrdProcess?: GuestProcess): number {
  return ownInitrdBytes(facts, initrdProcess) + totalSize(
    bootFilesOf(facts, initrdProcess).filter((file) => mustBeCopied(file, user, facts)),
  );
}

/** Whether the guest has an initial RAM disk, be it the image's or not. */
export function hasInitrd(
  { initrd, nodeKernel }: Pick<HostFacts, "initrd" | "nodeKernel">,
): boolean {
  return initrd !== undefined || nodeKernel !== undefined;
}

/** A kernel of the node is bound. */
function nodeKernelFiles({ nodeKernel, kernel }: HostFacts): Step[] {
  if (nodeKernel === undefined) return [];
  return [{ step: "bindHost", source: kernel.path, target: GUEST_KERNEL, kind: "file" }];
}

/** Where the image has none, or a kernel of the node needs its modules in it. */
function ownInitrd({ facts, user, initrdProcess }: RootInput): Step[] {
  if (initrdProcess === undefined || !makesInitrd(facts)) return [];
  const part = (file?: ImageFileFacts) => file && { path: file.path, maximumBytes: file.size };
  return [{
    step: "makeInitrd",
    target: GUEST_INITRD,
    uid: user.uid,
    gid: user.gid,
    prepend: initrdProcess,
    modules: part(facts.nodeKernel?.modules),
    image: part(facts.initrd),
  }];
}

/** Whether an initial RAM disk is put together, and not the image's with something before it. */
function makesInitrd({ nodeKernel, initrd }: HostFacts): boolean {
  return nodeKernel !== undefined || initrd === undefined;
}

/** Bytes of what `ownInitrd` puts together. */
function ownInitrdBytes(facts: HostFacts, initrdProcess?: GuestProcess): number {
  if (initrdProcess === undefined || !makesInitrd(facts)) return 0;
  const { nodeKernel, initrd } = facts;
  const parts = [segmentBytes(initrdProcess), nodeKernel?.modules?.size, initrd?.size];
  return parts.reduce<number>((sum, size) => sum + (size ?? 0), 0);
}

function bootFilesOf(facts: HostFacts, initrdProcess?: GuestProcess): BootFile[] {
  if (facts.nodeKernel !== undefined) return [];
  const files: BootFile[] = [{ facts: facts.kernel, target: GUEST_KERNEL }];
  if (facts.initrd !== undefined) {
    files.push({ facts: facts.initrd, target: GUEST_INITRD, prepend: initrdProcess });
  }
  return files;
}

function mustBeCopied(file: BootFile, user: User, facts: HostFacts): boolean {
  // A bind mount would keep the image's file system mounted while the guest writes to it.
  const leaves = facts.disks?.some(({ name }) => name === ROOT_DISK);
  return leaves === true || file.prepend !== undefined || !readableBy(file.facts, user);
}

function totalSize(files: BootFile[]): number {
  const prepended = ({ prepend }: BootFile) => prepend === undefined ? 0 : segmentBytes(prepend);
  return files.reduce((sum, file) => sum + prepended(file) + file.facts.size, 0);
}

/**
 * Whether the monitor could open the file itself: then it is bound and takes no memory. The monitor
 * has no capabilities, so uid 0 is an ordinary user here. Only the permission bits are compared: an
 * ACL that denies access makes the monitor fail with EACCES, and one that grants it is not used.
 */
function readableBy(file: ImageFileFacts, { uid, gid, additionalGids }: User): boolean {
  return mayAccess(file, { uid, gid, groups: additionalGids }, READ);
}

function mkdirStep(path: string): Step {
  return { step: "mkdir", path, mode: 0o755 };
}

/** Collects bind mounts: each parent directory is created once, nothing is bound twice or below another. */
export class Tree {
  readonly steps: Step[] = [];
  #made = new Set<string>(["/"]);
  #bound: string[] = [];

  /** One step: they are many. */
  bindLibraries(paths: string[]): void {
    const files = paths.filter((path) => !this.#covered(path));
    if (files.length === 0) return;
    files.forEach((path) => this.makeParents(path));
    this.steps.push({ step: "bindLibraries", files });
    this.#bound.push(...files);
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
