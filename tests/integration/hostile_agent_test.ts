/** An agent that is hostile to further processes, in a real machine: what each costs, and whom. */
import assert from "node:assert/strict";
import { archive } from "../../lib/guest/initrd/cpio.ts";
import { delay } from "../../lib/os/timer.ts";
import { debianKernel, makeLinuxInitrd } from "../support/fixtures.ts";
import { Stopwatch } from "../support/busy.ts";
import { childrenOf, isAlive, run, waitFor } from "../support/process.ts";
import { assertNothingLeft, Container } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { uruncBinary } from "../support/urunc.ts";

const SOURCE = new URL("hostile_agent.c", import.meta.url).pathname;
const uruncPath = await uruncBinary();

/** Of a relay, the most that it ever had in memory. KiB: two buffers of 256 KiB, and its program. */
const MOST_MEMORY = 1024;
/** What a broken protocol takes at most. Milliseconds; and silence 5 seconds more. */
const SOON = 10_000;
/** A guest may boot for longer than an exec waits for its agent. */
const BOOT_SECONDS = 60;

/** An archive replaces what earlier ones have, and ours is the first: here it is the image's that is executed. */
async function hostileInitrd(scope: Scope): Promise<string> {
  const directory = await scope.temporaryDirectory("hostile");
  const program = `${directory}/init`;
  await run(["gcc", "-Wall", "-Wextra", "-Werror", "-O1", "-static", SOURCE, "-o", program], {
    check: true,
  });
  const content = await Deno.readFile(program);
  const entries = [
    { name: "urunc", mode: 0o40755 },
    { name: "urunc/init", mode: 0o100755, content },
  ];
  await Deno.writeFile(`${directory}/initrd`, archive(entries));
  return `${directory}/initrd`;
}

async function startGuest(scope: Scope, initrd: string): Promise<Container> {
  const container = await Container.prepare(scope, {
    unikernelType: "linux",
    kernel: await debianKernel(),
    initrd,
    accelerator: "tcg",
    args: ["busybox", "sh", "-c", "echo up; exec busybox sleep 1000"],
    env: ["PATH=/bin"],
    unikernel: { agent: "on" },
  });
  await container.mustStart();
  return container;
}

async function waitForConsole(container: Container, text: string): Promise<void> {
  const hasIt = async () =>
    (await container.urunc(["logs", "--console", container.id])).stdout.includes(text) || undefined;
  await waitFor(hasIt, { timeoutSeconds: BOOT_SECONDS, what: `"${text}" on the console` });
}

/** An exec whose caller does not read what comes, until it has ended. */
class Exec {
  readonly #child: Deno.ChildProcess;
  readonly #pidFile: string;
  /** Since it was made. */
  readonly #watch = new Stopwatch();
  /** Of its relay, in KiB, while its end is awaited; 0 until it was seen. */
  memory = 0;

  private constructor(child: Deno.ChildProcess, pidFile: string) {
    [this.#child, this.#pidFile] = [child, pidFile];
  }

  static async start(scope: Scope, container: Container, mode: string): Promise<Exec> {
    const pidFile = `${await scope.temporaryDirectory("pid")}/pid`;
    const child = new Deno.Command(uruncPath, {
      args: ["--root", container.root, "exec", "--pid-file", pidFile, container.id, mode],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    return new Exec(child, pidFile);
  }

  /** The relay, once the program is said to be executed. */
  async started(): Promise<number> {
    return await waitFor(() => Number(readText(this.#pidFile)) || undefined, {
      timeoutSeconds: 30,
      what: "its pid",
    });
  }

  /** Passed on to the relay. */
  terminate(): void {
    this.#child.kill("SIGTERM");
  }

  /** Until the guest takes no more. */
  pour(bytes: number): void {
    const writer = this.#child.stdin.getWriter();
    void writer.write(new Uint8Array(bytes)).catch(() => {});
  }

  /** @throws Error when it takes longer than so many milliseconds */
  async end(limit?: number): Promise<{ code: number; stdout: string; stderr: string }> {
    let hasEnded = false;
    const watch = this.#watchMemory(() => hasEnded);
    const { code } = await this.#child.status;
    hasEnded = true;
    if (limit !== undefined) this.#watch.assertWithin(limit, "the exec");
    await watch;
    const text = (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => new Response(stream).text();
    const [stdout, stderr] = await Promise.all([
      text(this.#child.stdout),
      text(this.#child.stderr),
    ]);
    return { code, stdout, stderr };
  }

  async #watchMemory(hasEnded: () => boolean): Promise<void> {
    for (; !hasEnded(); await delay(5)) this.memory = Math.max(this.memory, this.#memoryNow());
  }

  #memoryNow(): number {
    const status = readText(`/proc/${this.relay()}/status`);
    if (status === undefined || !/^Name:\turunc-relay$/m.test(status)) return 0;
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
  }

  /** Urunc's only child. */
  relay(): number | undefined {
    return childrenOf(this.#child.pid)[0];
  }
}

function readText(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}

testIf("exec: a hostile agent costs its own processes, bounded time and memory", {
  needs: ["root", "qemu-system-x86_64", "busybox", "cpio", "apt-get", "gcc"],
  timeoutSeconds: 180,
}, async () => {
  await using scope = new Scope();
  const honestInitrd = await makeLinuxInitrd();
  scope.defer("remove the initrd", () => honestInitrd.cleanup());
  const honest = await startGuest(scope, honestInitrd.path);
  const hostile = await startGuest(scope, await hostileInitrd(scope));
  const start = (mode: string) => Exec.start(scope, hostile, mode);
  const answers = async (mode: string) => {
    const { code, stdout } = await (await start(mode)).end();
    assert.deepEqual([code, stdout], [0, "fine\n"], mode);
  };
  const neighbourAnswers = async () => {
    const { code, stdout } = await honest.urunc(["exec", honest.id, "busybox", "echo", "well"]);
    assert.deepEqual([code, stdout], [0, "well\n"]);
  };
  await honest.waitForOutput("up", BOOT_SECONDS);
  await waitForConsole(hostile, "ports are served");
  await answers("answer");
  await neighbourAnswers();

  // One that is never drained has a port to itself, and goes on while others are hostile.
  const undrained = await start("never-drain");
  const undrainedPid = await undrained.started();
  undrained.pour(8 << 20);

  for (const mode of ["flood", "long-frame", "take-4-GiB", "exit-4-GiB"]) {
    const exec = await start(mode);
    const { code, stderr } = await exec.end(SOON);
    assert.equal(code, 255, mode);
    assert.match(stderr, /the guest's agent does not keep to the protocol/, mode);
    assert.ok(exec.memory <= MOST_MEMORY, `${mode}: ${exec.memory} KiB`);
    await answers("answer");
  }
  await neighbourAnswers();

  for (const mode of ["next-silent", "next-stale"]) {
    await answers(mode);
    const exec = await start("answer");
    const { code, stderr } = await exec.end(SOON + 5000);
    assert.notEqual(code, 0, mode);
    assert.match(stderr, /the guest's agent does not (answer|keep to the protocol)/, mode);
    assert.ok(exec.memory > 0 && exec.memory <= MOST_MEMORY, `${mode}: ${exec.memory} KiB`);
    await answers("answer");
  }

  const unstarted = await start("never-start");
  await delay(1000);
  const relay = await waitFor(() => unstarted.relay(), { timeoutSeconds: 30, what: "a relay" });
  Deno.kill(relay, "SIGTERM");
  const signalled = await unstarted.end(SOON);
  assert.match(signalled.stderr, /a signal ended the waiting for the guest's agent/);
  await answers("answer");
  await neighbourAnswers();

  // As a process that ignores the signal; what has been sent is in the socket and in the guest.
  undrained.terminate();
  const ended = undrained.end();
  await delay(500);
  assert.ok(isAlive(undrainedPid));
  Deno.kill(undrainedPid, "SIGKILL");
  const { code } = await ended;
  assert.equal(code, 137);
  assert.ok(undrained.memory > 0 && undrained.memory <= MOST_MEMORY, `${undrained.memory} KiB`);
  await answers("answer");

  await hostile.kill("KILL");
  await hostile.waitForStatus("stopped");
  assert.equal((await hostile.delete()).code, 0);
  assertNothingLeft(hostile);
  await neighbourAnswers();
});
