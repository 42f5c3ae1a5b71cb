/** A process that is a zombie to ps(1) and runs on. */
import { readProcessStat } from "../../lib/os/process.ts";
import { run, waitFor } from "./process.ts";
import type { Scope } from "./scope.ts";

const SOURCE = `
#include <pthread.h>
#include <unistd.h>
static void *wait_for_ever(void *unused) { for (;;) pause(); return unused; }
int main(void) {
  pthread_t thread;
  if (pthread_create(&thread, 0, wait_for_ever, 0) != 0) return 1;
  pthread_exit(0);
}
`;

/** A process whose main thread has exited while another one lives. */
export interface ThreadsWithoutMain {
  pid: number;
  /** What it executes. */
  program: string;
  /** Kills it and waits for its end. */
  end(): Promise<void>;
}

/** Builds such a program and starts it, for the time of the scope. Needs gcc. */
export async function threadsWithoutMain(scope: Scope): Promise<ThreadsWithoutMain> {
  const program = `${await scope.temporaryDirectory("threads")}/threads`;
  await Deno.writeTextFile(`${program}.c`, SOURCE);
  await run(["gcc", "-pthread", "-o", program, `${program}.c`], { check: true });
  const child = new Deno.Command(program, { stdin: "null" }).spawn();
  let ended = false;
  const end = async () => {
    if (!ended) child.kill("SIGKILL");
    ended = true;
    await child.status;
  };
  scope.defer("end the threads", end);
  await waitFor(() => readProcessStat(child.pid)?.state === "Z", {
    timeoutSeconds: 10,
    what: "the exit of the main thread",
  });
  return { pid: child.pid, program, end };
}
