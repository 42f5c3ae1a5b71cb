/** What many containers take: memory of shims and of created containers, and the time of one more. */
import { GUEST, ORDINARY, startWithDouble } from "../e2e/containerd/_common.ts";
import { listPids, readStatus, run } from "../support/process.ts";
import { pssOf } from "../support/pss.ts";
import type { Scope } from "../support/scope.ts";
import { idleShims, type ShimKind } from "../soak/shim.ts";
import { benchFilesMemory } from "./files.ts";
import { measure, type Measurement } from "./measure.ts";
import { crunWrapper, type Runtime, runtimes } from "./runtimes.ts";
import { type Row, summarize, type Summary, type Table, wantedOf } from "./table.ts";

/** So many idle guests have shims where so many containers are created. */
const IDLE_SHARE = 1 / 4;
const LANES = 8;

const RUNC_SHIM = "containerd-shim-runc-v2";
const SHIM_KINDS: ShimKind[] = ["a shim per container", "one for all", RUNC_SHIM];

/**
 * @param count how many containers are created, and how many live eight at a time
 * @param rounds of a create beside them
 */
export async function benchGuests(scope: Scope, count: number, rounds: number): Promise<Table> {
  const rows = [
    await benchShims(Math.ceil(count * IDLE_SHARE)),
    await benchLives(scope, count),
    ...await benchCreated(scope, count, rounds),
    ...await benchFilesMemory(scope, count),
  ];
  return { rows, missing: [] };
}

/** Memory of shims, for each guest. */
async function benchShims(count: number): Promise<Row> {
  const values = [];
  for (const subject of SHIM_KINDS) {
    const { memory } = await idleShims(count, subject);
    values.push({ subject, ...summarize([memory / count]) });
  }
  const wanted = [
    { subject: "a shim per container", base: RUNC_SHIM, atMost: 1.2 },
    { subject: "one for all", base: RUNC_SHIM, atMost: 0.15 },
  ];
  const name = `PSS of shims, a guest of ${count}`;
  return { name, unit: "KiB", values, bases: [RUNC_SHIM], wanted };
}

/** Whole lives by containerd, eight at a time: how long all of them take. */
async function benchLives(scope: Scope, count: number): Promise<Row> {
  const byContainer = await startWithDouble(scope);
  const byNamespace = await startWithDouble(scope, {}, 'shim_group = "namespace"');
  const runc = ["--rm", "--runtime=io.containerd.runc.v2"];
  const commands: Record<string, (id: string) => string[]> = {
    "a shim per container": (id) => byContainer.ctrRunCommand(["--rm"], GUEST, id, ["exit", "0"]),
    "one for all": (id) => byNamespace.ctrRunCommand(["--rm"], GUEST, id, ["exit", "0"]),
    runc: (id) => byContainer.ctrRunCommand(runc, ORDINARY, id, ["/bin/busybox", "true"]),
  };
  const values = [];
  for (const [subject, command] of Object.entries(commands)) {
    await run(command("warm"), { check: true });
    values.push({ subject, ...summarize([await timeLives(count, command)]) });
  }
  const wanted = wantedOf(["a shim per container", "one for all"], "runc", 0.9);
  const name = `${count} by ctr run, ${LANES} at a time`;
  return { name, unit: "s", values, bases: ["runc"], wanted };
}

/** Seconds. */
async function timeLives(count: number, command: (id: string) => string[]): Promise<number> {
  let next = 0;
  const began = performance.now();
  await Promise.all(Array.from({ length: LANES }, async () => {
    while (next < count) await run(command(`life-${next++}`), { check: true, timeoutSeconds: 120 });
  }));
  return (performance.now() - began) / 1000;
}

/** A create beside one other container and beside many, and what the many take of memory. */
async function benchCreated(scope: Scope, count: number, rounds: number): Promise<Row[]> {
  const compared = await runtimes(scope);
  const created = compared.map((it) => new Created(scope, it));
  const creates = created.map((it) => it.measurement());
  for (const it of created) await it.fill(1);
  const few = await measure(scope, creates, rounds, crunWrapper());
  for (const it of created) await it.fill(count);
  const many = await measure(scope, creates, rounds, crunWrapper());
  const memory = created.map((it) => ({
    subject: it.runtime.subject,
    ...summarize([it.memory() / count]),
  }));
  const name = `PSS of one of ${count} created`;
  return [
    { name, unit: "KiB", values: memory, bases: ["runc", "crun"] },
    ...compared.map(({ subject }, index) => besideMany(subject, count, few[index]!, many[index]!)),
  ];
}

function besideMany(subject: string, count: number, few: Summary, many: Summary): Row {
  const [one, all] = ["1 there", `${count} there`];
  return {
    name: `${subject} create`,
    unit: "ms",
    values: [{ subject: all, ...many }, { subject: one, ...few }],
    bases: [one],
    wanted: subject === "urunc" ? [{ subject: all, base: one, atMost: 1.05 }] : [],
  };
}

/** Containers of one runtime that are created and not started. */
class Created {
  readonly runtime: Runtime;
  readonly #scope: Scope;
  readonly #pids: number[] = [];

  constructor(scope: Scope, runtime: Runtime) {
    this.runtime = runtime;
    this.#scope = scope;
  }

  /** Creates more until there are so many. */
  async fill(count: number): Promise<void> {
    const directory = await this.#scope.temporaryDirectory("bench-pids");
    while (this.#pids.length < count) {
      const id = this.#id(this.#pids.length);
      const pidFile = `${directory}/${id}`;
      this.#scope.defer(`delete ${id}`, () => run(this.#command("delete", "--force", id)));
      await run(
        this.#command("create", "--bundle", this.runtime.bundle, "--pid-file", pidFile, id),
        {
          check: true,
        },
      );
      this.#pids.push(Number(await Deno.readTextFile(pidFile)));
    }
  }

  /** One more, which does not stay. */
  measurement(): Measurement {
    const { subject, command, bundle } = this.runtime;
    const runtime = command.join(" ");
    const id = this.#id("more");
    this.#scope.defer(`delete ${id}`, () => run(this.#command("delete", "--force", id)));
    return {
      operation: "create",
      subject,
      prepare: "true",
      command: `${runtime} create --bundle ${bundle} ${id}`,
      conclude: `sh -c "${runtime} delete --force ${id} >/dev/null 2>&1"`,
    };
  }

  /** PSS of all their processes. KiB. */
  memory(): number {
    return pssOf(withChildren(this.#pids));
  }

  #id(name: string | number): string {
    return `bench-${this.runtime.subject}-${Deno.pid}-${name}`;
  }

  /** The container would keep pipes of its output open. */
  #command(...args: string[]): string[] {
    const quiet = ["sh", "-c", 'exec "$@" >/dev/null 2>&1 </dev/null', "sh"];
    const wrapper = this.runtime.subject === "crun" ? crunWrapper() : [];
    return [...quiet, ...wrapper, ...this.runtime.command, ...args];
  }
}

function withChildren(parents: readonly number[]): number[] {
  const known = new Set(parents);
  const children = listPids().filter((pid) => {
    try {
      return known.has(readStatus(pid).ppid);
    } catch {
      return false; // it has just exited
    }
  });
  return [...parents, ...children];
}
