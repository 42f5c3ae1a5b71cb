/** What the agent of a Linux guest costs: a start, an exec, memory; and how fast its streams are. */
import { debianKernel, makeLinuxInitrd } from "../support/fixtures.ts";
import { run, waitFor } from "../support/process.ts";
import { pssOf } from "../support/pss.ts";
import { Container, type ContainerOptions } from "../support/runtime.ts";
import type { Scope } from "../support/scope.ts";
import { missingReason } from "../support/skip.ts";
import { uruncBinary } from "../support/urunc.ts";
import { measure, type Measurement, rowOf } from "./measure.ts";
import { crunWrapper, natives } from "./runtimes.ts";
import { type Row, summarize, type Table } from "./table.ts";

const NEEDS = ["qemu-system-x86_64", "busybox", "cpio", "apt-get"];
/** A boot under emulation takes seconds. */
const MOST_BOOTS = 5;
/** Each way. */
const MEGABYTES = 50;
const CHUNK = 65536;
const LINE = "the first line";

/** With an agent, and as the kernel and the initial RAM disk do without. */
const SUBJECTS = { agent: "on", "agent: none": "none" } as const;
type Subject = keyof typeof SUBJECTS;

/** Measures it, under emulation. */
export async function benchAgent(scope: Scope, rounds: number): Promise<Table> {
  const reason = NEEDS.map(missingReason).find((it) => it !== undefined);
  if (reason !== undefined) {
    return { rows: [], missing: [{ name: "agent of Linux guests", reason }] };
  }
  const initrd = await makeLinuxInitrd({ line: LINE });
  scope.defer("remove the initrd", () => initrd.cleanup());
  const guest = async (subject: Subject, script: string): Promise<Container> =>
    await Container.prepare(scope, await optionsOf(initrd.path, subject, script));
  const starts = await benchStarts(guest, Math.min(rounds, MOST_BOOTS));
  return {
    missing: [],
    rows: [
      starts,
      ...await benchRunning(scope, guest, rounds),
      await benchStream("stdin of a guest's program", () => stdinSpeed(guest)),
      await benchStream("stdout of a guest's program", () => stdoutSpeed(guest)),
    ],
  };
}

type MakeGuest = (subject: Subject, script: string) => Promise<Container>;

async function optionsOf(
  initrd: string,
  subject: Subject,
  script: string,
): Promise<ContainerOptions> {
  return {
    unikernelType: "linux",
    kernel: await debianKernel(),
    initrd,
    accelerator: "tcg",
    env: ["PATH=/bin"],
    unikernel: { agent: SUBJECTS[subject] },
    // Without an agent the initial RAM disk's own init is the program.
    args: subject === "agent" ? ["busybox", "sh", "-c", script] : [],
  };
}

const WAITS = `echo "${LINE}"; exec busybox sleep 1000`;

/** From `start` to the first line of the guest's program, in turn with and without. */
async function benchStarts(guest: MakeGuest, rounds: number): Promise<Row> {
  const times: Record<Subject, number[]> = { agent: [], "agent: none": [] };
  for (let round = 0; round < rounds; round++) {
    const subjects = Object.keys(SUBJECTS) as Subject[];
    for (const subject of round % 2 === 0 ? subjects : subjects.reverse()) {
      times[subject].push(await timeStart(await guest(subject, WAITS)));
    }
  }
  return {
    name: "Linux guest: start to first line",
    unit: "ms",
    bases: ["agent: none"],
    values: Object.entries(times).map(([subject, values]) => ({ subject, ...summarize(values) })),
  };
}

/** Milliseconds. */
async function timeStart(container: Container): Promise<number> {
  await container.mustCreate();
  const began = performance.now();
  await container.start();
  await untilFirstLine(container);
  const time = performance.now() - began;
  await container.delete("--force");
  return time;
}

async function untilFirstLine(container: Container): Promise<void> {
  await waitFor(() => container.output().includes(LINE), {
    timeoutSeconds: 120,
    intervalMilliseconds: 5,
    what: LINE,
  });
}

/** An exec, and memory, of guests that run. */
async function benchRunning(scope: Scope, guest: MakeGuest, rounds: number): Promise<Row[]> {
  const running = async (subject: Subject) => {
    const container = await guest(subject, WAITS);
    const pid = await container.mustStart();
    await untilFirstLine(container);
    return { container, waiter: pid, monitor: await container.monitorPid() };
  };
  const bare = await running("agent: none");
  const agent = await running("agent");
  const memory = (name: string, pids: Record<string, number>): Row => ({
    name: `PSS: ${name}`,
    unit: "KiB",
    bases: ["agent: none"],
    values: Object.entries(pids).map(([subject, pid]) => ({
      subject,
      ...summarize([pssOf([pid])]),
    })),
  });
  const rows = [
    memory("monitor", { agent: agent.monitor, "agent: none": bare.monitor }),
    memory("waiter", { agent: agent.waiter, "agent: none": bare.waiter }),
    memory("relay of an exec", { agent: await startRelay(scope, agent.container) }),
  ];
  await bare.container.delete("--force");
  return [await benchExec(scope, agent.container, rounds), ...rows];
}

/** The pid of what stands on the host for a process of the guest. */
async function startRelay(scope: Scope, container: Container): Promise<number> {
  const pidFile = `${await scope.temporaryDirectory("pid")}/pid`;
  const command = ["busybox", "sleep", "1000"];
  await container.urunc(
    ["exec", "--detach", "--pid-file", pidFile, container.id, ...command],
    { check: true },
  );
  return Number(await Deno.readTextFile(pidFile));
}

/** `true` in a container that runs: ours in its guest, others' on this kernel. */
async function benchExec(scope: Scope, container: Container, rounds: number): Promise<Row> {
  const name = "exec of true";
  const of = (subject: string, command: string[]): Measurement => ({
    operation: name,
    subject,
    prepare: "true",
    command: command.join(" "),
    conclude: "true",
  });
  const ours = [await uruncBinary(), "--root", container.root, "exec", container.id, "busybox"];
  const measurements = [of("agent", [...ours, "true"])];
  for (const { subject, command, bundle } of await natives(scope)) {
    const id = `bench-exec-${Deno.pid}`;
    const wrapper = subject === "crun" ? crunWrapper() : [];
    const runtime = [...wrapper, ...command];
    await run([
      "sh",
      "-c",
      'exec "$@" >/dev/null 2>&1 </dev/null',
      "sh",
      ...runtime,
      "run",
      "--detach",
      "--bundle",
      bundle,
      id,
    ], { check: true });
    scope.defer(`delete ${id} of ${subject}`, () => run([...runtime, "delete", "--force", id]));
    // As root, since crun gives the standard files of an exec to its user, and they are /dev/null of the host.
    const root = ["exec", "--user", "0:0", id];
    measurements.push(of(subject, [...command, ...root, "/bin/busybox", "true"]));
  }
  const summaries = await measure(scope, measurements, rounds, crunWrapper());
  return rowOf({ name, unit: "ms", bases: ["runc", "crun"] }, measurements, summaries);
}

async function benchStream(name: string, speed: () => Promise<number>): Promise<Row> {
  return { name, unit: "MB/s", values: [{ subject: "agent", ...summarize([await speed()]) }] };
}

/** A container that is run with pipes, once its program waits for its input. */
async function piped(guest: MakeGuest, script: string) {
  const { root, bundle, id } = await guest("agent", `echo ready; ${script}`);
  const child = new Deno.Command(await uruncBinary(), {
    args: ["--root", root, "run", "--bundle", bundle, id],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const output = child.stdout.getReader();
  await output.read();
  return { child, input: child.stdin.getWriter(), output };
}

/** From the first byte that is sent until the program has read the last. MB/s. */
async function stdinSpeed(guest: MakeGuest): Promise<number> {
  const { child, input, output } = await piped(guest, "busybox cat > /dev/null; echo read");
  const chunk = new Uint8Array(CHUNK);
  const count = Math.ceil(MEGABYTES * 1e6 / CHUNK);
  const began = performance.now();
  for (let index = 0; index < count; index++) await input.write(chunk);
  await input.close();
  await output.read();
  const seconds = (performance.now() - began) / 1000;
  await output.cancel();
  await child.status;
  return count * CHUNK / 1e6 / seconds;
}

/** From the line that asks for them until the last byte. MB/s. */
async function stdoutSpeed(guest: MakeGuest): Promise<number> {
  const count = Math.ceil(MEGABYTES * 1e6 / CHUNK);
  const script = `read line; busybox dd if=/dev/zero bs=${CHUNK} count=${count} 2>/dev/null`;
  const { child, input, output } = await piped(guest, script);
  const began = performance.now();
  await input.write(new TextEncoder().encode("go\n"));
  await input.close();
  let length = 0;
  for (let it = await output.read(); !it.done; it = await output.read()) length += it.value.length;
  const seconds = (performance.now() - began) / 1000;
  await child.status;
  if (length !== count * CHUNK) throw new Error(`${length} bytes came of ${count * CHUNK}`);
  return length / 1e6 / seconds;
}
