import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  AT_SYMLINK_NOFOLLOW,
  chdir,
  close,
  copyFile,
  fchdir,
  fchmod,
  fchownat,
  fstat,
  mkdirat,
  mknodat,
  MNT_DETACH,
  mount,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  mountSetattr,
  MOVE_MOUNT_F_EMPTY_PATH,
  MOVE_MOUNT_T_EMPTY_PATH,
  moveMount,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_PRIVATE,
  MS_REC,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  open,
  OPEN_TREE_CLONE,
  openat2,
  openTree,
  pivotRoot,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  S_IFMT,
  S_IFREG,
  SOCK_NONBLOCK,
  umount2,
  writeAll,
} from "../../../ffi/linux.ts";
import { type Credentials, READ, WRITE } from "../../host/access.ts";
import { explainRefusal, openNamed, reopen, userMayOpen } from "../../host/named.ts";
import { copyOf } from "../../inspect/copied.ts";
import { openImageFile } from "../../inspect/image.ts";
import { type GuestProcess, initrdSegment } from "../../guest/initrd/segment.ts";
import { parentPath } from "../../os/path.ts";
import { listenAt } from "../../os/sockets.ts";
import { claimFile, openClaimed } from "./disk_claims.ts";
import { openByNumbers } from "../transient_node.ts";
import type { PerformContext, StepHandlers } from "../context.ts";

/**
 * A guest makes one connection to a port, and one at a time to that of further processes. Others of the guest can
 * connect to that, too: the waiter takes each at once, for Firecracker would wait in a full queue.
 */
const AGENT_BACKLOG = 16;

/**
 * Building the monitor's root. Two rules hold throughout:
 *
 * - A path of the image is only ever resolved by `openImageFile`, which cannot leave the image, and
 *   is used as a descriptor from then on.
 * - A target in the new root is resolved without following any symlink. We are the only ones who
 *   write there, so a symlink would be our own mistake; it must not become a way out.
 */
export const ROOT_STEPS: StepHandlers<
  | "openImageRoot"
  | "mountRoot"
  | "mkdir"
  | "mountTmpfs"
  | "listenForAgent"
  | "bindHost"
  | "bindLibraries"
  | "bindImageFile"
  | "openFile"
  | "openVolume"
  | "bindVolume"
  | "copyImageFile"
  | "makeInitrd"
  | "writeFile"
  | "openLog"
  | "mknod"
  | "openDevice"
  | "bindDevice"
  | "pivotRoot"
  | "privateMounts"
  | "remountReadOnly"
> = {
  openImageRoot({ path }, context) {
    context.imageRoot = open(path, O_PATH | O_DIRECTORY);
  },

  mountRoot({ path, sizeBytes }, context) {
    // The mount point is the runtime's own directory, in a tree that only root can write.
    mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, tmpfsOptions(sizeBytes, 0o755));
    context.root = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  },

  mkdir({ path, mode }, context) {
    inParent(context, path, (parent, name) => mkdirat(parent, name, mode));
  },

  mountTmpfs({ path, sizeBytes, mode, devices, ...more }, context) {
    const flags = MS_NOSUID | MS_NOEXEC | (devices ? 0 : MS_NODEV);
    withTarget(context, path, O_PATH | O_DIRECTORY, (fd) => {
      mount("tmpfs", `/proc/self/fd/${fd}`, "tmpfs", flags, tmpfsOptions(sizeBytes, mode, more));
    });
  },

  listenForAgent({ directory, uid, gid, sockets }, context) {
    withTarget(context, directory, O_PATH | O_DIRECTORY, (parent) => {
      for (const { name, file } of sockets) {
        const fd = listenAt(
          `/proc/self/fd/${parent}/${file}`,
          AGENT_BACKLOG,
          SOCK_NONBLOCK,
        );
        fchownat(parent, file, uid, gid, AT_SYMLINK_NOFOLLOW);
        context.opened.set(name, fd);
      }
    });
  },

  bindHost({ source, target, kind }, context) {
    // Not recursive: what the host has mounted below a directory of a monitor's is not the monitor's.
    const attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY;
    const tree = openTree(AT_FDCWD, source, OPEN_TREE_CLONE);
    attach(context, tree, target, kind, attributes);
  },

  bindLibraries({ files }, context) {
    const directories = new Map<string, string[]>();
    for (const path of files) {
      const parent = parentPath(path);
      directories.set(parent, [...directories.get(parent) ?? [], path]);
    }
    for (const [directory, paths] of directories) {
      withTarget(context, directory === "/" ? "" : directory, O_PATH | O_DIRECTORY, (fd) => {
        for (const path of paths) bindBelow(fd, path);
      });
    }
  },

  bindImageFile({ source, target, writable }, context) {
    const file = openImageFile(context.imageRoot!, source, O_PATH);
    try {
      const tree = openTree(file, "", AT_EMPTY_PATH | OPEN_TREE_CLONE);
      const attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
        (writable ? 0 : MOUNT_ATTR_RDONLY);
      attach(context, tree, target, "file", attributes);
    } finally {
      close(file);
    }
  },

  openFile({ name, path, access, exclusive }, context) {
    const fd = openImageFile(context.imageRoot!, path, access === "r" ? O_RDONLY : O_RDWR);
    if (exclusive) claimFile(fd);
    context.opened.set(name, fd);
  },

  openVolume({ name, path, access, exclusive, user }, context) {
    const fd = openVolume(path, access, user);
    if (exclusive) claimFile(fd);
    context.opened.set(name, fd);
  },

  bindVolume({ name, target, writable }, context) {
    const tree = openTree(context.opened.get(name)!, "", AT_EMPTY_PATH | OPEN_TREE_CLONE);
    const attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
      (writable ? 0 : MOUNT_ATTR_RDONLY);
    attach(context, tree, target, "file", attributes);
  },

  copyImageFile({ source, target, uid, gid, maximumBytes, prepend }, context) {
    makeFile(context, target, { uid, gid }, (copy) => {
      if (prepend !== undefined) writeSegment(copy, prepend);
      const part = { path: source, maximumBytes };
      append(copy, part, (path) => openImageFile(context.imageRoot!, path, O_RDONLY));
    });
  },

  makeInitrd({ target, uid, gid, prepend, modules, image }, context) {
    makeFile(context, target, { uid, gid }, (file) => {
      writeSegment(file, prepend);
      // The store is root's alone, and only root can write there.
      if (modules !== undefined) append(file, modules, (path) => open(path, O_RDONLY | O_NOFOLLOW));
      if (image === undefined) return;
      append(file, image, (path) => openImageFile(context.imageRoot!, path, O_RDONLY));
    });
  },

  writeFile({ path, uid, gid, content }, context) {
    makeFile(context, path, { uid, gid }, (file) => {
      writeAll(file, new TextEncoder().encode(content));
    });
  },

  openLog({ path, uid, gid }, context) {
    inParent(context, path, (parent, name) => {
      // Mode 0 until the owner is right. Nonblocking: nobody writes to it before the monitor runs.
      mknodat(parent, name, S_IFIFO, { major: 0, minor: 0 });
      const flags = O_RDONLY | O_NONBLOCK | O_NOFOLLOW;
      const log = openat2(parent, name, { flags, resolve: RESOLVE_NO_SYMLINKS });
      context.opened.set("watch", log);
      fchownat(log, "", uid, gid, AT_EMPTY_PATH);
      fchmod(log, 0o600);
    });
  },

  mknod({ path, type, major, minor, uid, gid, mode }, context) {
    inParent(context, path, (parent, name) => {
      const format = type === "char" ? S_IFCHR : S_IFBLK;
      // Mode 0 until the owner is right: no moment in which the node is open to anyone else. The
      // mode is set through the descriptor of the node itself, since umask took bits away.
      mknodat(parent, name, format, { major, minor });
      fchownat(parent, name, uid, gid, AT_SYMLINK_NOFOLLOW);
      chmodNode(parent, name, mode);
    });
  },

  openDevice({ name, type, major, minor, access, exclusive }, context) {
    const format = type === "char" ? S_IFCHR : S_IFBLK;
    const flags = access === "r" ? O_RDONLY : O_RDWR;
    const open = (more: number) =>
      openByNumbers(context.root!, { format, major, minor }, flags | more);
    context.opened.set(name, exclusive ? openClaimed(() => open(O_EXCL)) : open(0));
  },

  bindDevice({ source, target }, context) {
    const tree = openTree(AT_FDCWD, source, OPEN_TREE_CLONE);
    // Read-only is about the node, not the device: a monitor of the node's owner, uid 0 mostly,
    // could change its mode on the host (CVE-2013-1766).
    const attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
    attach(context, tree, target, "file", attributes);
  },

  pivotRoot(_step, context) {
    const root = context.root!;
    fchdir(root);
    // pivot_root(2), "pivot_root(".", ".")": the old root ends up stacked on the new one and is
    // detached by its own path, so no directory for it is needed.
    pivotRoot(".", ".");
    umount2(".", MNT_DETACH);
    chdir("/");
    // The last ways back to the host's tree.
    close(root);
    if (context.imageRoot !== undefined) close(context.imageRoot);
    context.root = undefined;
    context.imageRoot = undefined;
  },

  privateMounts() {
    // What was bound from the host is a slave until here (`privatePropagation`): whatever the host mounts
    // below a directory of firmware later would appear in the running monitor's root.
    mount(null, "/", null, MS_REC | MS_PRIVATE, null);
  },

  remountReadOnly({ path, noDevices }) {
    mountSetattr(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, {
      set: MOUNT_ATTR_RDONLY | (noDevices ? MOUNT_ATTR_NODEV : 0),
    });
  },
};

/**
 * Opens a regular file of the host for a container's user. It was checked before the plan was made, and
 * something else may have its name by now: what counts is the file that is opened here.
 */
function openVolume(path: string, access: "r" | "rw", user: Credentials): number {
  const found = openNamed(path);
  try {
    if ((fstat(found).mode & S_IFMT) !== S_IFREG) throw new Error(`${path} is not a regular file`);
    if (!userMayOpen(found, user, access === "r" ? READ : READ | WRITE)) {
      throw new Error(`${path}: ${explainRefusal(found, user)}`);
    }
    return reopen(found, access === "r" ? O_RDONLY : O_RDWR);
  } finally {
    close(found);
  }
}

/** Makes a file that only a monitor's user may read. */
function makeFile(
  context: PerformContext,
  path: string,
  { uid, gid }: { uid: number; gid: number },
  write: (file: number) => void,
): void {
  inParent(context, path, (parent, name) => {
    // O_EXCL: nothing may stand at the target already (CVE-2026-1386).
    const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
    const file = openat2(parent, name, { flags, mode: 0o400, resolve: RESOLVE_NO_SYMLINKS });
    try {
      write(file);
      fchownat(file, "", uid, gid, AT_EMPTY_PATH);
      fchmod(file, 0o400);
    } finally {
      close(file);
    }
  });
}

/** What is copied may be another by now. */
function writeSegment(file: number, process: GuestProcess): void {
  writeAll(file, initrdSegment(process));
  for (const copy of process.copies ?? []) {
    const bytes = copyOf(copy);
    if (bytes.length > copy.bytes) throw new Error(`${copy.source} has grown meanwhile`);
    writeAll(file, bytes);
  }
}

/** Writes what a file has, up to a number of bytes. */
function append(
  to: number,
  { path, maximumBytes }: { path: string; maximumBytes: number },
  openFile: (path: string) => number,
): void {
  const from = openFile(path);
  try {
    copyFile(from, to, maximumBytes);
  } finally {
    close(from);
  }
}

/** @see tmpfs(5); inodes are bounded too, or a small size would still hold any number of them. */
function tmpfsOptions(
  sizeBytes: number,
  mode: number,
  { uid = 0, gid = 0, files = 1024 }: { uid?: number; gid?: number; files?: number } = {},
): string {
  const owner = `uid=${uid},gid=${gid}`;
  return `size=${sizeBytes},nr_inodes=${files},mode=${mode.toString(8)},${owner}`;
}

/**
 * Gives a detached mount its attributes and only then a place, so that it is never reachable with
 * more rights than it is meant to have.
 */
export function attach(
  context: PerformContext,
  tree: number,
  target: string,
  kind: "directory" | "file",
  attributes: number,
  recursive = false,
): void {
  try {
    const flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    mountSetattr(tree, "", flags, { set: attributes });
    inParent(context, target, (parent, name) => {
      if (kind === "directory") {
        mkdirat(parent, name, 0o755);
      } else {
        const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
        close(openat2(parent, name, { flags, mode: 0o444, resolve: RESOLVE_NO_SYMLINKS }));
      }
    });
    withTarget(context, target, O_PATH, (fd) => {
      moveMount(tree, "", fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    });
  } finally {
    close(tree);
  }
}

/** As `attach` a file of the host, below an opened directory: with the fewest calls, for there are many. */
function bindBelow(directory: number, path: string): void {
  const tree = openTree(AT_FDCWD, path, OPEN_TREE_CLONE);
  try {
    const name = path.slice(path.lastIndexOf("/") + 1);
    const set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY;
    mountSetattr(tree, "", AT_EMPTY_PATH, { set });
    mknodat(directory, name, S_IFREG | 0o444, { major: 0, minor: 0 });
    moveMount(tree, "", directory, name, MOVE_MOUNT_F_EMPTY_PATH);
  } finally {
    close(tree);
  }
}

/** Calls `use` with the opened parent directory of an absolute path in the new root, and the name. */
function inParent(
  context: PerformContext,
  path: string,
  use: (parent: number, name: string) => void,
): void {
  const slash = path.lastIndexOf("/");
  const parent = path.slice(0, slash);
  const name = path.slice(slash + 1);
  withTarget(context, parent, O_PATH | O_DIRECTORY, (fd) => use(fd, name));
}

/** Calls `use` with an absolute path of the new root, opened without following any symlink. */
function withTarget(
  context: PerformContext,
  path: string,
  flags: number,
  use: (fd: number) => void,
): void {
  const fd = openat2(context.root!, `.${path}`, {
    flags,
    resolve: RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
  });
  try {
    use(fd);
  } finally {
    close(fd);
  }
}

/** chmod through an O_PATH descriptor, which fchmod refuses. */
function chmodNode(parent: number, name: string, mode: number): void {
  const fd = openat2(parent, name, {
    flags: O_PATH | O_NOFOLLOW,
    resolve: RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
  });
  try {
    Deno.chmodSync(`/proc/self/fd/${fd}`, mode);
  } finally {
    close(fd);
  }
}
