import {
  AF_UNIX,
  bindUnix,
  close,
  flock,
  listen,
  LOCK_EX,
  O_DIRECTORY,
  O_RDONLY,
  O_RDWR,
  open,
  SOCK_STREAM,
  socket,
} from "../../../ffi/linux.ts";
import { spawnProgram } from "../../os/programs.ts";
import { invokedAs, selfCommand } from "../../os/self.ts";
import type { ShimArguments } from "./arguments.ts";
import { ConfigurationCache } from "../daemon/configuration_cache.ts";
import { groupOf, SOCKET_DIRECTORY, socketPath } from "./group.ts";
import { isListening } from "./listening.ts";
import { ADDRESS_FILE } from "./record.ts";
import { summarizeBundle } from "../../runc/kind.ts";
import { removeIfThere } from "../../os/files.ts";

/** Descriptors of a daemon: its listening socket, and the standard input of `start` with containerd's options. */
export const LISTEN_FD = 3;
export const OPTIONS_FD = 4;

/** How many connections may wait to be accepted; as many as the kernel allows (SOMAXCONN). */
const BACKLOG = 4096;

/**
 * `start`: finds the shim of a container's group, or starts it. In the linked executable the entry stub
 * does the same without V8 (`lib/build/stub/shim.c`); what it cannot judge it leaves to this.
 *
 * @returns where the shim listens, for containerd
 */
export async function startShim(args: ShimArguments, commandLine: readonly string[]) {
  const bundle = Deno.cwd();
  const { shim_group } = await new ConfigurationCache().get(undefined);
  const { annotations } = summarizeBundle(bundle);
  const group = groupOf({ id: args.id, annotations, shimGroup: shim_group });
  const path = socketPath(args.address, args.namespace, group);
  const address = `unix://${path}`;

  Deno.mkdirSync(SOCKET_DIRECTORY, { recursive: true, mode: 0o711 });
  // One shim for a group, and none that is about to be removed.
  const lock = open(SOCKET_DIRECTORY, O_RDONLY | O_DIRECTORY);
  try {
    flock(lock, LOCK_EX);
    if (!isListening(path)) {
      const listener = listenAgain(path);
      // Before anything can be made that would have to be cleaned up.
      writeAddress(bundle, address);
      const shared = shim_group === "namespace" ? ["-shared"] : [];
      const action = commandLine.slice(0, -1);
      spawnDaemon(listener, [...action, ...shared, "-socket", path, "daemon"]);
      close(listener);
    } else writeAddress(bundle, address);
  } finally {
    close(lock);
  }
  return address;
}

/** In one piece: containerd reads it when it is started again. */
function writeAddress(bundle: string, address: string): void {
  const path = `${bundle}/${ADDRESS_FILE}`;
  Deno.writeTextFileSync(`${path}.new`, address, { mode: 0o600 });
  Deno.renameSync(`${path}.new`, path);
}

/** Replaces a stale socket: its shim was killed. */
function listenAgain(path: string): number {
  removeIfThere(path);
  const fd = socket(AF_UNIX, SOCK_STREAM, 0);
  const before = Deno.umask(0o177);
  try {
    bindUnix(fd, path);
    listen(fd, BACKLOG);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  } finally {
    Deno.umask(before);
  }
}

function spawnDaemon(listener: number, args: string[]): void {
  const [path, ...leading] = selfCommand();
  const name = invokedAs();
  const nothing = open("/dev/null", O_RDWR);
  // A program that is run by another (`deno run`) gets its name in a variable.
  const argv0 = leading.length === 0 ? name : path!;
  const environment = { ...Deno.env.toObject(), URUNC_ARGV0: name };
  spawnProgram({
    path: path!,
    argv: [argv0, ...leading, ...args],
    env: Object.entries(environment).map(([key, value]) => `${key}=${value}`),
    fds: [
      { from: nothing, to: 0 },
      { from: nothing, to: 1 },
      { from: nothing, to: 2 },
      { from: listener, to: LISTEN_FD },
      { from: 0, to: OPTIONS_FD },
    ],
    setsid: true,
  });
  close(nothing);
}
