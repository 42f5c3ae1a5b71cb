import {
  AF_UNIX,
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  bindUnix,
  close,
  connectUnix,
  fstat,
  LinuxError,
  listen,
  MOUNT_ATTR_IDMAP,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  mountSetattr,
  MS_PRIVATE,
  O_DIRECTORY,
  O_PATH,
  open,
  OPEN_TREE_CLONE,
  openTree,
  read,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
  SOCK_STREAM,
  socket,
  unlinkat,
} from "../../../ffi/linux.ts";
import { openNamed } from "../../host/named.ts";
import { isCode } from "../../os/os_error.ts";
import { openedBy, type StepHandlers } from "../context.ts";
import { startProgram } from "./monitor.ts";
import { attach } from "./root.ts";

/** In the file server's root, for as long as it takes to connect to it. */
const SOCKET = "/socket";

/**
 * The file server's process, made before init gives up any privilege: it takes mounts, which Landlock forbids
 * for good. It is in a mount namespace with nothing but its program and what is shared, and in no namespace
 * with any other process (`planFileServer` has the order).
 *
 * It begins as root, for only then can it mount a procfs of its PID namespace. So init waits until it has
 * given that up; what it does for that is in lib/build/waiter/waiter.c.
 */
export const FILE_SERVER_STEPS: StepHandlers<
  "bindShared" | "connectFileServer" | "startFileServer"
> = {
  bindShared(step, context) {
    const { source, target, kind, readOnly, recursive, userNamespace, mapsBelow } = step;
    const below = recursive ? AT_RECURSIVE : 0;
    const tree = cloneShared(source, kind, OPEN_TREE_CLONE | below);
    // Before it has a place: what the host mounts below the source from then on would appear there, with
    // flags of its own.
    mountSetattr(tree, "", AT_EMPTY_PATH | below, { propagation: MS_PRIVATE });
    if (userNamespace !== undefined) {
      mapOwners(tree, {
        source,
        below: mapsBelow ? below : 0,
        userNamespace: openedBy(context, userNamespace),
      });
    }
    // Neither it nor what the guest puts there is executed on the host.
    const attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
      (readOnly ? MOUNT_ATTR_RDONLY : 0);
    attach(context, tree, target, kind, attributes, recursive);
  },

  connectFileServer(_step, context) {
    const [server, files] = [socket(AF_UNIX, SOCK_STREAM, 0), socket(AF_UNIX, SOCK_STREAM, 0)];
    // The server takes a socket that is listened on only. This connection waits there for it, and without
    // the name there cannot be another.
    bindUnix(server, SOCKET);
    listen(server, 1);
    connectUnix(files, SOCKET);
    unlinkat(AT_FDCWD, SOCKET, 0);
    context.opened.set("fileServer", server).set("files", files);
  },

  startFileServer({ argv, fds }, context) {
    const { pid, connection } = startProgram({ argv, fds }, context);
    context.fileServerPid = pid;
    close(openedBy(context, "fileServer"));
    waitUntilUnprivileged(connection);
    context.opened.set("serverGo", connection);
  },
};

/**
 * Clones the mount of a file or directory. It was looked at before the plan was made, and something else may
 * have its name by now: another container's guest may write to the directory that it is in. What counts is the
 * file that is opened here, by no link but root's.
 *
 * @returns a detached mount
 */
function cloneShared(source: string, kind: "directory" | "file", flags: number): number {
  if (kind === "directory") mountAutomatically(source);
  const found = openNamed(source);
  try {
    if ((fstat(found).mode & S_IFMT) !== (kind === "directory" ? S_IFDIR : S_IFREG)) {
      throw new Error(`${source} is not a ${kind} any more`);
    }
    return openTree(found, "", AT_EMPTY_PATH | flags);
  } finally {
    close(found);
  }
}

/**
 * Maps the owners of a detached mount's files. Of several mounts all are mapped, or none.
 *
 * @throws Error naming the file when its file system, or one that is mounted below it, does not support that;
 *   or when it is mapped already
 * @see mount_setattr(2), "ID-mapped mounts"
 */
function mapOwners(
  tree: number,
  { source, below, userNamespace }: { source: string; below: number; userNamespace: number },
): void {
  const flags = AT_EMPTY_PATH | below;
  try {
    mountSetattr(tree, "", flags, { set: MOUNT_ATTR_IDMAP, userNamespace });
  } catch (cause) {
    if (!isCode(cause, "EINVAL") && !isCode(cause, "EPERM")) throw cause;
    throw new Error(
      `the owners of ${source} cannot be mapped: its file system, or one that is mounted below it, ` +
        "does not support that, or they are mapped already; " +
        'guests.linux.file_access = "user" in the configuration serves it as one user, where neither the ' +
        "container has a user namespace nor the mount asks for idmap",
      { cause },
    );
  }
}

/**
 * Has an automounter mount a directory now, as binding it by its name would: `openNamed` only looks, for which
 * the kernel does not ask it (fs/namei.c, follow_automount). What is there, if anything, is checked after this.
 */
function mountAutomatically(path: string): void {
  try {
    close(open(path, O_PATH | O_DIRECTORY));
  } catch (error) {
    if (!(error instanceof LinuxError)) throw error;
  }
}

/** It answers by a byte, 0, and by a text when it failed: lib/build/waiter/waiter.c. */
function waitUntilUnprivileged(connection: number): void {
  const answer = new Uint8Array(512);
  const text = new TextDecoder().decode(answer.subarray(0, read(connection, answer)));
  if (text !== "\0") throw new Error(text === "" ? "the file server's process ended" : text);
}
