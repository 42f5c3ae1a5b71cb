/**
 * The program with switches that the shipped one does not have, for tests of its forks. It is another entry, so
 * the shipped bundle has not a byte of it.
 *
 * `forks COUNT` forks so often, beside threads that wait, and prints how the children ended. `hold` forks
 * an init, prints its pid, and ends it when standard input ends. With `URUNC_FORK=dies` in the environment
 * of any other command the child of a fork ends before its first word. An init that is started as a program leaves a
 * file beside this one.
 */
import {
  close,
  exitNow,
  fork,
  pipe,
  pollAsync,
  POLLIN,
  SOCK_STREAM,
  socketpair,
  waitpid,
} from "../../ffi/linux.ts";
import { runMain } from "../../lib/entry.ts";
import { forkInit } from "../../lib/launch/fork.ts";
import { SILENT_OBSERVER } from "../../lib/launch/observer.ts";
import { delay } from "../../lib/os/timer.ts";

/** How many calls wait in threads of Deno's. */
const THREADS = 3;

const ROUNDS_OF_TASK = 100;

/** What a child ends with that has come to its end. */
const DONE = 7;

async function main(): Promise<number> {
  const [mode, count] = Deno.args;
  if (mode === "forks") return await forkOften(Number(count));
  // tokio's handler writes to a descriptor of its own.
  if (mode === "hold") Deno.addSignalListener("SIGUSR2", () => {});
  if (mode === "hold") return holdInit();
  if (mode === "init") Deno.writeTextFileSync(`${Deno.execPath()}.init`, "");
  if (Deno.env.get("URUNC_FORK") === "dies") Deno.readDirSync = failInChild(Deno.readDirSync);
  return await runMain(Deno.args, SILENT_OBSERVER);
}

async function forkOften(count: number): Promise<number> {
  const [end, begin] = pipe();
  const waits = Array.from({ length: THREADS }, () => pollAsync([{ fd: end, events: POLLIN }], -1));
  const ends: Record<string, number> = {};
  for (let round = 0; round < count; round++) {
    const pid = fork();
    const made = work(round);
    if (pid === 0) exitNow(made > 0 ? DONE : 0);
    const { exitCode, signal } = waitpid(pid, 0)!;
    const how = exitCode === undefined ? `signal ${signal}` : `exit ${exitCode}`;
    ends[how] = (ends[how] ?? 0) + 1;
    // V8 frees what is outside of its heap in tasks of the event loop.
    if (round % ROUNDS_OF_TASK === 0) await delay(0);
  }
  close(begin);
  await Promise.all(waits);
  console.log(JSON.stringify(ends));
  return 0;
}

/** Takes memory of V8, of Deno and of the C library, and calls the kernel. */
function work(round: number): number {
  const objects = Array.from(
    { length: 2000 },
    (_, index) => ({ index, text: `${round} ${index}` }),
  );
  const status = Deno.readTextFileSync("/proc/self/status");
  return JSON.parse(JSON.stringify(objects)).length * status.length;
}

function holdInit(): number {
  const [ours, theirs] = socketpair(SOCK_STREAM);
  const pid = forkInit(SILENT_OBSERVER, {
    creators: ours,
    inits: { channel: theirs, terminal: -1 },
  });
  close(theirs);
  console.log(pid ?? "none");
  Deno.stdin.readSync(new Uint8Array(1));
  close(ours);
  return pid === undefined ? 1 : waitpid(pid, 0)!.exitCode ?? 1;
}

/** A child's first reading of its descriptors fails, which it does before it says anything. */
function failInChild(readDirSync: typeof Deno.readDirSync): typeof Deno.readDirSync {
  return (path) => {
    if (path === "/proc/self/fd") throw new Error("this child is to end");
    return readDirSync(path);
  };
}

main().then(Deno.exit);
