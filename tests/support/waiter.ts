/** The container's process by itself, without a container: lib/build/waiter. */
import {
  AF_UNIX,
  close,
  SOCK_STREAM,
  socket,
  socketpair,
  spawn,
  waitpidAsync,
  writeAll,
} from "../../ffi/linux.ts";
import { WARNINGS } from "../../lib/build/native/programs.ts";
import { START_BYTE } from "../../lib/launch/steps/exec.ts";
import { WAITER } from "../../lib/launch/waiter_bytes.ts";
import { connectAt, listenAt } from "../../lib/os/sockets.ts";
import { run } from "./process.ts";
import type { Scope } from "./scope.ts";
import { repositoryDirectory } from "./urunc.ts";

/** As it is shipped, and with checks of every access. */
export const WAITER_KINDS = ["shipped", "sanitized"] as const;

/**
 * Writes or builds it, for the time of the scope. Needs gcc.
 *
 * @returns a program that becomes the waiter, with the monitor's process as its child: WORD... -- PROGRAM...
 */
export async function waiterProgram(
  scope: Scope,
  kind: (typeof WAITER_KINDS)[number],
): Promise<string> {
  const path = await nativeProgram(scope, kind);
  const directory = path.slice(0, path.lastIndexOf("/"));
  const pair = `${directory}/pair`;
  const source = `${repositoryDirectory()}tests/support/waiter_pair.c`;
  const flags = [...WARNINGS, "-O1", `-DWAITER="${path}"`];
  await run(["gcc", ...flags, source, "-o", pair], { check: true });
  return pair;
}

/** As `waiterProgram`, and nothing around it: the program of waiter, monitor and relay. */
export async function nativeProgram(
  scope: Scope,
  kind: (typeof WAITER_KINDS)[number],
): Promise<string> {
  const path = `${await scope.temporaryDirectory("waiter")}/waiter`;
  if (kind === "shipped") {
    await Deno.writeFile(path, WAITER, { mode: 0o755 });
    return path;
  }
  const source = `${repositoryDirectory()}lib/build/waiter/waiter.c`;
  const sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
  await run(["gcc", ...WARNINGS, "-g", "-O1", ...sanitizers, source, "-o", path], { check: true });
  return path;
}

/** A `start` that has connected and asked, and the socket that it has connected to. */
function askedStart(): [connection: number, listener: number] {
  const directory = Deno.makeTempDirSync();
  try {
    const listener = listenAt(`${directory}/start`, 1);
    const connection = socket(AF_UNIX, SOCK_STREAM, 0);
    connectAt(connection, `${directory}/start`);
    writeAll(connection, new Uint8Array([START_BYTE]));
    return [connection, listener];
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

/** A waiter that runs, with its sockets. */
export interface RunningWaiter {
  pid: number;
  /** What has asked for the start, and the other end of `events`. */
  start: number;
  events: number;
  ended: Promise<{ exitCode?: number; signal?: number }>;
}

/**
 * Starts one with `start=3` and `events=4`, in front of the words given.
 *
 * @param fds standard files; our own unless named
 */
export function startWaiter(
  path: string,
  words: string[],
  fds: { from: number; to: number }[] = [],
): RunningWaiter {
  const [start, theirStart] = askedStart();
  const [events, theirEvents] = socketpair(SOCK_STREAM);
  const pid = spawn({
    path,
    argv: ["urunc-waiter", "start=3", "events=4", ...words],
    env: ["PATH=/usr/bin:/bin"],
    fds: [...fds, { from: theirStart, to: 3 }, { from: theirEvents, to: 4 }],
  });
  for (const fd of [theirStart, theirEvents]) close(fd);
  return { pid, start, events, ended: waitpidAsync(pid) };
}
