import {
  AF_UNIX,
  close,
  flock,
  LinuxError,
  LOCK_EX,
  LOCK_NB,
  O_CLOEXEC,
  O_CREAT,
  O_NOFOLLOW,
  O_RDWR,
  open,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  socket,
} from "../../ffi/linux.ts";
import { HostError, UnsupportedError, WrongStateError } from "../errors.ts";
import { isThere, removeIfThere } from "../os/files.ts";
import { connectAt } from "../os/sockets.ts";
import { delay } from "../os/timer.ts";
import { monitorByName } from "../monitor/registry.ts";
import type { RunningGuest } from "../monitor/types.ts";
import { EXEC_PORTS, execPortToAdd, execSocket, handingSocket } from "../plan/agent.ts";
import type { ContainerState } from "./state.ts";
import { type ContainerDirectory, CONTROL_SOCKET, EXEC_DIRECTORY } from "./store.ts";

/** How long to wait for a port that is free. Milliseconds. */
const PATIENCE = 2000;
const INTERVAL = 50;

/** A connection to one of the ports of a guest's agent. */
export interface ExecPort {
  /** Not blocking. The caller closes both. */
  socket: number;
  /** As long as it is open, by whatever process, the port is nobody else's. */
  lock: number;
  /** A connection to the guest is handed over by the socket, and not made by it. */
  handed: boolean;
}

/**
 * Takes a port that no other process of this container has.
 *
 * @throws HostError when none becomes free, or the monitor does not add one; UnsupportedError when an older urunc has created the container;
 *   WrongStateError when its monitor has exited, or `delete` has removed it meanwhile
 */
export async function takeExecPort(
  { id, path }: ContainerDirectory,
  { monitor }: ContainerState,
): Promise<ExecPort> {
  const directory = `${path}/${EXEC_DIRECTORY}`;
  if (!isThere(directory)) throw tooOld(id);
  const handed = isThere(handingSocket(directory));
  const guest = { id, directory, monitor, handed, controlSocket: `${path}/${CONTROL_SOCKET}` };
  const count = handed ? EXEC_PORTS : portsIn(directory);
  for (let left = PATIENCE;; left -= INTERVAL) {
    for (let index = 0; index < count; index++) {
      const port = await tryPort(guest, index);
      if (port !== undefined) return port;
    }
    if (left <= 0) throw exhausted(id, count);
    await delay(INTERVAL);
  }
}

/** As many as the guest's memory has room for, and one at least: lib/plan/agent.ts. */
function portsIn(directory: string): number {
  let count = 1;
  while (count < EXEC_PORTS && isThere(execSocket(directory, count))) count++;
  return count;
}

/** What has the ports. */
interface PortedGuest extends RunningGuest {
  id: string;
  directory: string;
  monitor: string;
  /** Whether its waiter hands connections on. */
  handed: boolean;
}

async function tryPort(guest: PortedGuest, index: number): Promise<ExecPort | undefined> {
  const { id, directory, handed } = guest;
  let lock: number | undefined;
  let fd: number | undefined;
  try {
    lock = open(`${directory}/${index}.lock`, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600);
    flock(lock, LOCK_EX | LOCK_NB);
    await addIfMissing(guest, index);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connectAt(fd, handed ? handingSocket(directory) : execSocket(directory, index));
    return { socket: fd, lock, handed };
  } catch (error) {
    if (fd !== undefined) close(fd);
    if (lock !== undefined) close(lock);
    // Another has it; or its monitor does not take connections that were made and given up.
    if (error instanceof LinuxError && error.code === "EAGAIN") return undefined;
    throw hasEnded(error) ? ended(id) : error;
  }
}

/** Of the guest: nobody listens any more, or `delete` has removed the files already. */
function hasEnded(error: unknown): boolean {
  return error instanceof WrongStateError ||
    error instanceof LinuxError && ["ECONNREFUSED", "ENOENT"].includes(error.code);
}

/**
 * The file goes when the guest has the port: who is killed in between leaves both, and the monitor says then
 * that it has it.
 */
async function addIfMissing({ directory, monitor, controlSocket }: PortedGuest, index: number) {
  const file = execPortToAdd(directory, index);
  if (!isThere(file)) return;
  await monitorByName(monitor).addPort?.({ controlSocket }, index);
  removeIfThere(file);
}

function exhausted(subject: string, count: number): HostError {
  return new HostError({
    operation: "exec in container",
    subject,
    reason: `resource exhausted: ${count} further processes run in it already`,
    remedy: "wait until one of them has exited",
  });
}

function ended(subject: string): WrongStateError {
  return new WrongStateError({
    operation: "exec in container",
    subject,
    reason: "container not running: its monitor has exited",
  });
}

function tooOld(subject: string): UnsupportedError {
  return new UnsupportedError({
    operation: "exec in container",
    subject,
    reason: "an older urunc has created it, which could run no further processes",
    remedy: "create it again",
  });
}
