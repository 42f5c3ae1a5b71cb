/** The kernel's word that a cgroup has met its memory limit, as a shim hears it. */
import assert from "node:assert/strict";
import { writeAll } from "../../ffi/linux.ts";
import { readCgroupLayout } from "../../lib/cgroups/layout.ts";
import { exists } from "../../lib/os/files.ts";
import { MemoryWatch } from "../../lib/shim/oom/watch.ts";
import { OutOfMemoryEvents } from "../../lib/shim/oom/events.ts";
import { Reactor } from "../../lib/shim/daemon/reactor.ts";
import { missingMemoryController } from "../support/cgroups.ts";
import { run, waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const LAYOUT = readCgroupLayout();
const VERSION = LAYOUT.v1.memory !== undefined ? 1 : 2;
const NEEDS = {
  needs: ["root", "dd"],
  skip: missingMemoryController(),
};

/** A cgroup that may use 16 MiB. */
async function limitedCgroup(scope: Scope): Promise<string> {
  const parent = VERSION === 1 ? LAYOUT.v1.memory! : LAYOUT.v2!.mountPoint;
  const directory = `${parent}/urunc-test-oom-${crypto.randomUUID()}`;
  await Deno.mkdir(directory);
  scope.defer(`remove ${directory}`, () => Deno.remove(directory).catch(() => {}));
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

/** A program in the cgroup that wants so much memory. */
async function use(directory: string, mebibytes: number): Promise<number> {
  const script = 'echo 0 >"$1/cgroup.procs"; exec dd if=/dev/zero of=/dev/null count=1 bs="$2"M';
  return (await run(["sh", "-c", script, "sh", directory, String(mebibytes)])).code;
}

testIf("every kill is told when it happens, and none that was not", NEEDS, async () => {
  await using scope = new Scope();
  const directory = await limitedCgroup(scope);
  let told = 0;
  const events = new OutOfMemoryEvents(new Reactor(), [directory], () => told++);
  assert.equal(await use(directory, 1), 0);
  for (const count of [1, 2]) {
    assert.equal(await use(directory, 64), 137);
    await waitFor(() => told >= count, { timeoutSeconds: 5, what: `kill ${count}` });
  }
  events.end();
  assert.equal(told, 2);
});

testIf("what happened before somebody looked is told at the end", NEEDS, async () => {
  await using scope = new Scope();
  const directory = await limitedCgroup(scope);
  assert.equal(await use(directory, 64), 137);
  let told = 0;
  new OutOfMemoryEvents(new Reactor(), [directory], () => told++).end();
  assert.equal(told, 1);
});

testIf("the end of the cgroup is none of its kills", NEEDS, async () => {
  await using scope = new Scope();
  const directory = await limitedCgroup(scope);
  const reactor = new Reactor();
  let told = 0;
  const events = new OutOfMemoryEvents(reactor, [directory], () => told++);
  await Deno.remove(directory);
  // The kernel tells of the removal a little later.
  await new Promise((resolve) => setTimeout(resolve, 200));
  events.end();
  assert.equal(told, 0);
});

/** Knows which descriptors it was given. */
class KnowingReactor extends Reactor {
  readonly given: number[] = [];
  readonly #add: (fd: number) => void;

  constructor(add: (fd: number) => void) {
    super();
    this.#add = add;
  }

  override add(...[fd, events, handler]: Parameters<Reactor["add"]>): void {
    this.given.push(fd);
    this.#add(fd);
    super.add(fd, events, handler);
  }
}

testIf("nothing stays open when they cannot be watched", NEEDS, async () => {
  await using scope = new Scope();
  const directory = await limitedCgroup(scope);
  // Which version 2 tells of at the first look; version 1 does if its counter is not 0.
  assert.equal(await use(directory, 64), 137);
  const failing = () => {
    throw new Error("not now");
  };
  const counting = (fd: number) => {
    if (VERSION === 1) writeAll(fd, new Uint8Array(new BigUint64Array([1n]).buffer));
  };
  const cases: [KnowingReactor, () => void][] = [
    [new KnowingReactor(failing), () => {}],
    [new KnowingReactor(counting), failing],
  ];
  for (const [reactor, tell] of cases) {
    assert.throws(() => new OutOfMemoryEvents(reactor, [directory], tell), /not now/);
    const open = reactor.given.map((fd) => exists(`/proc/self/fd/${fd}`));
    assert.deepEqual(open, [false]);
  }
});

const UNWATCHED: [name: string, status: number, count: number][] = [
  ["a container that was killed before it was watched is told of", 137, 1],
  ["one that ended otherwise is not looked at any more", 0, 0],
];

for (const [name, status, count] of UNWATCHED) {
  testIf(name, NEEDS, async () => {
    await using scope = new Scope();
    const directory = await limitedCgroup(scope);
    assert.equal(await use(directory, 64), 137);
    let told = 0;
    const services = { reactor: new Reactor(), log: { error: () => assert.fail("an error") } };
    const watch = new MemoryWatch(services, [directory], () => told++);
    watch.begin();
    await watch.end(status);
    assert.equal(told, count);
  });
}
