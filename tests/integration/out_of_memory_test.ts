/** The kernel's kills in a cgroup that has reached its memory limit, as a shim reports them. */
import assert from "node:assert/strict";
import { readCgroupLayout } from "../../lib/cgroups/layout.ts";
import { exists } from "../../lib/os/files.ts";
import { MemoryWatch } from "../../lib/shim/oom/watch.ts";
import { OutOfMemoryEvents } from "../../lib/shim/oom/events.ts";
import { Reactor } from "../../lib/shim/daemon/reactor.ts";
import { missingMemoryController } from "../support/cgroups.ts";
import { run, waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { RUN_PREFIX } from "../support/mark.ts";

const LAYOUT = readCgroupLayout();
const VERSION = LAYOUT.v1.memory !== undefined ? 1 : 2;
const NEEDS = {
  needs: ["root", "dd"],
  skip: missingMemoryController(),
};

/** A cgroup that may use 16 MiB. */
async function limitedCgroup(scope: Scope): Promise<string> {
  const parent = VERSION === 1 ? LAYOUT.v1.memory! : LAYOUT.v2!.mountPoint;
  const directory = await newCgroup(scope, `${parent}/${RUN_PREFIX}oom-${crypto.randomUUID()}`);
  const names = VERSION === 1
    ? ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
    : ["memory.max", "memory.swap.max"];
  for (const [name, value] of [[names[0], 16 << 20], [names[1], VERSION === 1 ? 16 << 20 : 0]]) {
    await Deno.writeTextFile(`${directory}/${name}`, String(value)).catch((error) => {
      // Without an account of swap there is no such file; then there is no swap to flee to either.
      if (name !== names[1]) throw error;
    });
  }
  return directory;
}

async function newCgroup(scope: Scope, directory: string): Promise<string> {
  await Deno.mkdir(directory);
  scope.defer(`remove ${directory}`, () => Deno.remove(directory).catch(() => {}));
  return directory;
}

/** Watches a cgroup; errors fail the test. */
function watch(directory: string, report: () => void, reactor = new Reactor()): OutOfMemoryEvents {
  const failed = (error: unknown) => assert.fail(`${error}`);
  return new OutOfMemoryEvents({ reactor, directories: [directory], report, failed });
}

/** A program in the cgroup that wants so much memory. */
async function use(directory: string, mebibytes: number): Promise<number> {
  const script = 'echo 0 >"$1/cgroup.procs"; exec dd if=/dev/zero of=/dev/null count=1 bs="$2"M';
  return (await run(["sh", "-c", script, "sh", directory, String(mebibytes)])).code;
}

testIf("every kill is reported when it happens, and nothing else is", NEEDS, async () => {
  await using scope = new Scope();
  const directory = await limitedCgroup(scope);
  let reports = 0;
  const events = watch(directory, () => reports++);
  assert.equal(await use(directory, 1), 0);
  for (const count of [1, 2]) {
    assert.equal(await use(directory, 64), 137);
    await waitFor(() => reports >= count, { timeoutSeconds: 30, what: `kill ${count}` });
  }
  events.end();
  assert.equal(reports, 2);
});

testIf("what happened before the watch began is reported", NEEDS, async () => {
  await using scope = new Scope();
  const directory = await limitedCgroup(scope);
  assert.equal(await use(directory, 64), 137);
  let reports = 0;
  watch(directory, () => reports++).end();
  assert.equal(reports, 1);
});

testIf("a kill in another cgroup below the same limit is not reported", NEEDS, async () => {
  await using scope = new Scope();
  const above = await limitedCgroup(scope);
  if (VERSION === 2) await Deno.writeTextFile(`${above}/cgroup.subtree_control`, "+memory");
  const [watched, other] = [`${above}/watched`, `${above}/other`];
  for (const directory of [watched, other]) await newCgroup(scope, directory);
  let reports = 0;
  const events = watch(watched, () => reports++);
  assert.equal(await use(other, 64), 137);
  // Version 1 has signalled the watched one, too.
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(reports, 0);
  assert.equal(await use(watched, 64), 137);
  await waitFor(() => reports > 0, { timeoutSeconds: 30, what: "the report of the kill" });
  events.end();
  assert.equal(reports, 1);
});

testIf("the removal of the cgroup is not reported as a kill", NEEDS, async () => {
  await using scope = new Scope();
  const directory = await limitedCgroup(scope);
  const reactor = new Reactor();
  let reports = 0;
  const events = watch(directory, () => reports++, reactor);
  await Deno.remove(directory);
  // The kernel tells of the removal a little later.
  await new Promise((resolve) => setTimeout(resolve, 200));
  events.end();
  assert.equal(reports, 0);
});

function countDescriptors(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

/** Knows which descriptors it was given. */
class KnowingReactor extends Reactor {
  readonly given: number[] = [];
  readonly #add: () => void;

  constructor(add: () => void) {
    super();
    this.#add = add;
  }

  override add(...[fd, events, handler]: Parameters<Reactor["add"]>): void {
    this.given.push(fd);
    this.#add();
    super.add(fd, events, handler);
  }
}

testIf("nothing stays open when kills cannot be watched", NEEDS, async () => {
  await using scope = new Scope();
  const directory = await limitedCgroup(scope);
  assert.equal(await use(directory, 64), 137);
  const failing = () => {
    throw new Error("not now");
  };
  const cases: [KnowingReactor, () => void][] = [
    [new KnowingReactor(failing), () => {}],
    [new KnowingReactor(() => {}), failing],
  ];
  const before = countDescriptors();
  for (const [reactor, tell] of cases) {
    assert.throws(() => watch(directory, tell, reactor), /not now/);
    const open = reactor.given.map((fd) => exists(`/proc/self/fd/${fd}`));
    assert.deepEqual(open, [false]);
    assert.equal(countDescriptors(), before);
  }
});

const UNWATCHED: [name: string, status: number, count: number][] = [
  ["a kill before the watch began is reported at the exit", 137, 1],
  ["after another exit the count is not read", 0, 0],
];

for (const [name, status, count] of UNWATCHED) {
  testIf(name, NEEDS, async () => {
    await using scope = new Scope();
    const directory = await limitedCgroup(scope);
    assert.equal(await use(directory, 64), 137);
    let reports = 0;
    const services = { reactor: new Reactor(), log: { error: () => assert.fail("an error") } };
    const watch = new MemoryWatch(services, { cgroupPaths: () => [directory] }, () => reports++);
    watch.begin();
    await watch.end(status);
    assert.equal(reports, count);
  });
}

Deno.test("a guest whose kernel says that it has killed is asked when it was, and not otherwise", async () => {
  const services = { reactor: new Reactor(), log: { error: () => assert.fail("an error") } };
  for (const [says, status, count] of [[true, 137, 1], [false, 137, 0], [true, 0, 0]] as const) {
    let reports = 0;
    const guest = { cgroupPaths: () => [], ranOutOfMemory: () => Promise.resolve(says) };
    const watch = new MemoryWatch(services, guest, () => reports++);
    watch.begin();
    await watch.end(status);
    assert.equal(reports, count);
  }
});
