import {
  close,
  flock,
  LinuxError,
  LOCK_EX,
  O_DIRECTORY,
  O_RDONLY,
  open,
} from "../../../ffi/linux.ts";
import { deleteContainer } from "../../container/delete.ts";
import { Store } from "../../container/store.ts";
import { readIfThere, removeIfThere } from "../../os/files.ts";
import { resolvePath } from "../../os/path.ts";
import { printError } from "../../output.ts";
import { formatError } from "../../errors.ts";
import type { ShimArguments } from "./arguments.ts";
import { DeleteResponse, timestampOf } from "../../protocol/containerd/messages.ts";
import { ADDRESS_FILE, readRecord, removeRecord, type TaskRecord } from "./record.ts";
import { SOCKET_DIRECTORY } from "./group.ts";
import { isListening } from "./listening.ts";
import { unmountRootfs } from "../rootfs/rootfs.ts";

/** 128 and SIGKILL: the exit code of a task whose shim was lost. */
const EXIT_STATUS = 137;

/**
 * `delete`: after a shim's connection broke, kills and removes whatever is left of a container. Does
 * nothing for one that was deleted properly.
 *
 * @returns the message that containerd reads from standard output
 * @throws UruncError when something could not be removed
 */
export async function cleanUp(args: ShimArguments): Promise<Uint8Array> {
  const bundle = resolvePath(Deno.cwd(), args.bundle ?? ".");
  const record = readRecord(bundle);
  let pid = 0;
  if (record?.kind === "unikernel") pid = await removeGuest(args.id, record);
  if (record?.kind === "delegated") pid = await removeDelegated(args.id, bundle, record);
  unmountRootfs(`${bundle}/rootfs`);
  removeDeadSocket(bundle);
  removeRecord(bundle);
  return DeleteResponse.encode({
    pid,
    exitStatus: EXIT_STATUS,
    exitedAt: timestampOf(Date.now()),
  });
}

/** Returns the pid that it had. */
async function removeGuest(id: string, record: TaskRecord): Promise<number> {
  const store = new Store(record.root);
  let pid = 0;
  try {
    pid = store.open(id).readState()?.pid ?? 0;
  } catch {
    // Nothing was made yet; or it cannot be read, and is removed all the same.
  }
  for (const warning of await deleteContainer(store, id, true)) {
    printError(`urunc: ${formatError(warning)}\n`);
  }
  return pid;
}

/** Returns the pid that it had. */
async function removeDelegated(id: string, bundle: string, record: TaskRecord): Promise<number> {
  const { OciRuntime } = await import("../task/oci_runtime.ts");
  const { Reactor } = await import("../daemon/reactor.ts");
  const { Reaper } = await import("../daemon/reaper.ts");
  const { root, runtime: program, systemdCgroup = false } = record;
  const runtime = new OciRuntime(
    { program: program!, root, logs: bundle, systemdCgroup },
    new Reaper(new Reactor()),
  );
  await runtime.deleteIfThere(id);
  try {
    return Number(Deno.readTextFileSync(`${bundle}/init.pid`)) || 0;
  } catch {
    return 0;
  }
}

/** Of a shim that was killed. Another's, that the group still uses, is left alone. */
function removeDeadSocket(bundle: string): void {
  const address = readIfThere(`${bundle}/${ADDRESS_FILE}`);
  if (address === undefined) return;
  removeUnlessListening(address.replace(/^unix:\/\//, ""));
  removeIfThere(`${bundle}/${ADDRESS_FILE}`);
}

/** As in start.ts: nobody is between binding the socket and listening on it. */
function removeUnlessListening(path: string): void {
  const lock = openIfThere(SOCKET_DIRECTORY);
  if (lock === undefined) return;
  try {
    flock(lock, LOCK_EX);
    if (!isListening(path)) removeIfThere(path);
  } finally {
    close(lock);
  }
}

function openIfThere(directory: string): number | undefined {
  try {
    return open(directory, O_RDONLY | O_DIRECTORY);
  } catch (error) {
    if (error instanceof LinuxError && error.code === "ENOENT") return undefined;
    throw error;
  }
}
