import type { Rlimit } from "../oci/types.ts";
import type { Guest } from "../guest/families/types.ts";
import type { Monitor } from "../monitor/types.ts";

/** Their arguments' first words, by which the program knows which it is, and what `ps` shows of them. */
const WAITER = "urunc-waiter";
const MONITOR = "urunc-monitor";

/**
 * Memory that the container's process costs beside the monitor, and the monitor's own namespaces, in
 * bytes. Measured in a memory cgroup (v1): 124 KiB, of which 28 are its own, 20 its program, and 76 the
 * kernel's for one more process; and 100 KiB of the kernel's for the namespaces. The rest is for its
 * pipes, at most four, which hold 64 KiB each (pipe(7)) when the output is not read; with an agent three,
 * and the file of the guest's console.
 */
export const WAITER_BYTES = 480 * 1024;

/** The arguments of the container's process, lib/build/waiter/waiter.c. */
export interface WaiterInput {
  monitor: Pick<Monitor, "endSignal" | "readsInput" | "dropsOutput" | "debugExit" | "failures">;
  guest: Pick<Guest, "debugExitCodes">;
  /** Number of the descriptor that is closed when it waits for `start`. */
  createdFd: number;
  /** Of the socket to which `start` connects. */
  startFd: number;
  /** Of the connection to the monitor's process. */
  goFd: number;
  /** Of the connection to the file server's process, if there is one. */
  serverGoFd?: number;
  /** Its end of the connection on which the monitor reports events, or of its log. */
  watchFd?: number;
  /** Of its filter of system calls. */
  filterFd?: number;
  /** The first of its ends of the connections to the guest's agent, if the guest has one. */
  portsFd?: number;
  /** Of its end of the connection by which the agent asks the name server. */
  dnsFd?: number;
  /** The guest connects to those by vsock. */
  vsock?: boolean;
  /** Where it does, the first of two sockets by which further processes get connections. */
  handingFd?: number;
  /** Of the file that keeps the last of such a guest's console. */
  consoleFd?: number;
  /** The standard files are a terminal. */
  terminal?: boolean;
}

/** The argument vector of the container's process, without the monitor's pid: it is known only later. */
export function waiterArguments(input: WaiterInput): string[] {
  const {
    monitor,
    guest,
    createdFd,
    startFd,
    goFd,
    watchFd,
    filterFd,
    portsFd,
    consoleFd,
    dnsFd,
    terminal,
    vsock,
    handingFd,
    serverGoFd,
  } = input;
  return [
    WAITER,
    `go=${goFd}`,
    `created=${createdFd}`,
    `start=${startFd}`,
    ...(serverGoFd === undefined ? [] : [`server-go=${serverGoFd}`]),
    ...(watchFd === undefined ? [] : watchWords(monitor, watchFd)),
    ...filterWords(filterFd),
    `end=${monitor.endSignal}`,
    ...(monitor.readsInput ? ["input"] : []),
    ...(monitor.dropsOutput ? ["blocking"] : []),
    ...endWords(monitor, guest),
    ...(portsFd === undefined ? [] : [`ports=${portsFd}`, ...(terminal ? ["terminal"] : [])]),
    ...(dnsFd === undefined ? [] : [`dns=${dnsFd}`]),
    ...(vsock ? ["vsock"] : []),
    ...(handingFd === undefined ? [] : [`exec=${handingFd}`]),
    ...(consoleFd === undefined ? [] : [`console=${consoleFd}`]),
  ];
}

function watchWords({ failures }: WaiterInput["monitor"], fd: number): string[] {
  const kind = failures?.log === undefined ? "events" : "log";
  return [`${kind}=${fd}`, ...(failures?.texts ?? []).map((text) => `failure=${text}`)];
}

/** The arguments of the monitor's process, until it executes the monitor. */
export interface MonitorArguments {
  /** Its RLIMIT_FSIZE, which is not the waiter's: whose output may be a file of any size. */
  fileSize: Pick<Rlimit, "soft" | "hard">;
  /** Of its user namespace. */
  userFd?: number;
  /** It makes a PID namespace of its own in that. */
  ownPid?: boolean;
  /** Of its filter of system calls. */
  filterFd?: number;
  /** The monitor's argument vector, its path first. */
  program: string[];
}

/** The argument vector of the monitor's process. */
export function monitorArguments(input: MonitorArguments): string[] {
  const { fileSize, userFd, ownPid, filterFd, program } = input;
  return [
    MONITOR,
    // The first: see lib/build/waiter/waiter.c.
    ...(userFd === undefined ? [] : [`${ownPid ? "user+pid" : "user"}=${userFd}`]),
    `fsize=${fileSize.soft}:${fileSize.hard}`,
    ...filterWords(filterFd),
    "--",
    ...program,
  ];
}

function filterWords(fd: number | undefined): string[] {
  return fd === undefined ? [] : [`filter=${fd}`];
}

/**
 * How the monitor's exit code becomes the container's: docs/signals.md, "How a guest ends".
 *
 * QEMU's debug exit device makes it exit with 2 * code + 1 (hw/misc/debugexit.c), so a guest has 1 to
 * 127 there. An exit code of 1 is QEMU's own failure, which must not pass for a guest's success: a
 * guest succeeds by resetting or powering off, with which QEMU exits with 0.
 */
function endWords({ debugExit }: WaiterInput["monitor"], guest: WaiterInput["guest"]): string[] {
  if (!debugExit) return [];
  const words = Object.entries(guest.debugExitCodes ?? {}).map(([written, code]) =>
    `code=${2 * Number(written) + 1}:${code}`
  );
  return [...words, "debug-exit"];
}
