/** Further processes by the shim, in a guest that is this test: it answers when a test lets it, or never. */
import assert from "node:assert/strict";
import { SIGKILL, SIGTERM, spawn, waitpidAsync } from "../../ffi/linux.ts";
import { defaultConfiguration } from "../../lib/config/parse.ts";
import type { ContainerState } from "../../lib/container/state.ts";
import { EXEC_DIRECTORY, Store } from "../../lib/container/store.ts";
import { readName, readOwnProcess, readProcessStat } from "../../lib/os/process.ts";
import { EXEC_PORTS, execSocket } from "../../lib/plan/agent.ts";
import { Reactor } from "../../lib/shim/daemon/reactor.ts";
import { Reaper } from "../../lib/shim/daemon/reaper.ts";
import type { ShimServices } from "../../lib/shim/daemon/services.ts";
import { GuestExec } from "../../lib/shim/task/guest_exec.ts";
import { waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

/** lib/build/guest_init/exec_protocol.h */
const PADDING = 8196;
const HEADER = 4;
const NONCE = 16;
const [READY, STARTED] = [193, 194];

const NEEDS = { needs: ["root"], timeoutSeconds: 60 };

const reactor = new Reactor();
const log = { error: (what: string, error: unknown) => assert.fail(`${what}: ${error}`) };
/** A process has one reaper: another would reap this one's children. */
const services = { reactor, reaper: new Reaper(reactor), log } as unknown as ShimServices;

/** The relays that this process has, not waited for. */
function relays(): number[] {
  return [...Deno.readDirSync("/proc/self/task")].flatMap(({ name }) =>
    Deno.readTextFileSync(`/proc/self/task/${name}/children`).split(" ").filter(Boolean).map(Number)
  ).filter((pid) => readProcessStat(pid)?.state !== undefined && readName(pid) === "urunc-relay");
}

/** A container whose monitor and waiter are this process. */
class FakeContainer {
  readonly guests: Deno.UnixListener[];
  readonly services: ShimServices;
  readonly #store: Store;
  readonly #id: string;
  /** Is awaited before the relay is made. */
  before: Promise<void> = Promise.resolve();
  #execs = 0;

  constructor(scope: Scope, services: ShimServices, store: Store, id: string) {
    this.services = services;
    this.#store = store;
    this.#id = id;
    const directory = store.create(id);
    directory.writeState({ ...stateOf(id) });
    const ports = `${directory.path}/${EXEC_DIRECTORY}`;
    Deno.mkdirSync(ports);
    this.guests = Array.from({ length: EXEC_PORTS }, (_, index) => {
      const path = execSocket(ports, index);
      return Deno.listen({ transport: "unix", path });
    });
    scope.defer("close the ports", () => this.guests.forEach((it) => it.close()));
  }

  exec(): GuestExec {
    const container = {
      id: this.#id,
      store: this.#store,
      inPod: false,
      configuration: async () => {
        await this.before;
        return defaultConfiguration();
      },
    };
    const spec = JSON.stringify({ cwd: "/", args: ["x"], user: { uid: 0, gid: 0 } });
    return new GuestExec(this.services, container, {
      id: `exec${this.#execs++}`,
      spec: new TextEncoder().encode(spec),
      io: { stdin: "", stdout: "", stderr: "", terminal: false },
    });
  }

  /** The guest's side of the next exec, until it may answer that the process runs. */
  async hear(): Promise<{ run(): Promise<void>; hungUp(): Promise<void> }> {
    const port = await this.guests[0]!.accept();
    const bytes = async (size: number) => {
      const all = new Uint8Array(size);
      for (let have = 0; have < size;) {
        const count = await port.read(all.subarray(have));
        if (count === null) throw new Error("the relay hung up");
        have += count;
      }
      return all;
    };
    const hello = await bytes(PADDING + HEADER + 2 + NONCE);
    return {
      run: async () => {
        await port.write(hello.subarray(-NONCE));
        await port.write(Uint8Array.of(READY, 0, 2, 0, 1, 0));
        // The request and the start.
        for (let frame = 0; frame < 2; frame++) {
          const [, , low, high] = await bytes(HEADER);
          await bytes(low! + 256 * high!);
        }
        await port.write(Uint8Array.of(STARTED, 0, 0, 0));
      },
      hungUp: async () => {
        const untilEnd = async () => {
          for (;;) await bytes(1);
        };
        await assert.rejects(untilEnd, /hung up|reset/i);
        port.close();
      },
    };
  }
}

function stateOf(id: string): ContainerState {
  const { pid, startTime } = readOwnProcess();
  return {
    version: 1,
    ociVersion: "1.2.0",
    id,
    bundle: "/bundle",
    annotations: {},
    pid,
    pidStartTime: startTime,
    initExecutable: { dev: 0, ino: 0 },
    phase: "started",
    created: "2026-01-01T00:00:00.000Z",
    cgroupPaths: [],
    hooks: { poststart: [], poststop: [] },
    expectedIdentity: {
      uid: 65534,
      gid: 65534,
      groups: [],
      capabilities: [],
      noNewPrivileges: true,
    },
    monitor: "qemu",
    owner: 0,
    stop: { agent: true },
  };
}

async function fakeContainers(scope: Scope, ...ids: string[]): Promise<FakeContainer[]> {
  const store = new Store(await scope.temporaryDirectory("store"));
  scope.defer("end the relays", async () => {
    relays().forEach((pid) => Deno.kill(pid, "SIGKILL"));
    await waitFor(() => relays().length === 0, { timeoutSeconds: 10, what: "the relays' end" });
  });
  return ids.map((id) => new FakeContainer(scope, { ...services }, store, id));
}

testIf("shim, exec: it runs, gets signals and exits", NEEDS, async () => {
  await using scope = new Scope();
  const [container] = await fakeContainers(scope, "one");
  const exec = container!.exec();
  const starting = exec.start();
  const guest = await container!.hear();
  assert.deepEqual([exec.status(), exec.pid], ["created", 0]);
  await guest.run();
  await starting;
  assert.equal(exec.status(), "running");
  assert.deepEqual(relays(), [exec.pid]);
  await exec.kill(SIGKILL);
  assert.equal((await exec.ended).status, 137);
  await guest.hungUp();
  await exec.delete();
});

for (
  const [name, signal, status] of [["SIGKILL", SIGKILL, 137], ["SIGTERM", SIGTERM, 143]] as const
) {
  testIf(`shim, exec: ${name} while its guest does not answer ends its relay`, NEEDS, async () => {
    await using scope = new Scope();
    const [container] = await fakeContainers(scope, "one");
    const exec = container!.exec();
    const failed = assert.rejects(() => exec.start(), /killed before|a signal ended the waiting/);
    const guest = await container!.hear();
    await assert.rejects(() => exec.delete(), /it is not stopped/);
    await exec.kill(signal);
    await guest.hungUp();
    await failed;
    assert.equal((await exec.ended).status, status);
    assert.deepEqual(relays(), []);
    await assert.rejects(() => exec.kill(signal), /already finished/);
    await exec.delete();
  });
}

testIf("shim, exec: one that is killed before its relay is made has none", NEEDS, async () => {
  await using scope = new Scope();
  const [container] = await fakeContainers(scope, "one");
  const held = Promise.withResolvers<void>();
  container!.before = held.promise;
  const exec = container!.exec();
  const failed = assert.rejects(() => exec.start(), /it was killed before it ran/);
  // Its files are open, and it waits for the configuration.
  await new Promise((resolve) => setTimeout(resolve, 100));
  await exec.kill(SIGTERM);
  assert.equal((await exec.ended).status, 137);
  held.resolve();
  await failed;
  await waitFor(() => relays().length === 0, { timeoutSeconds: 10, what: "the relay's end" });
  assert.equal(exec.status(), "stopped");
  await exec.delete();
});

testIf(
  "shim, exec: guests that do not answer stop neither threads nor the reaper",
  NEEDS,
  async () => {
    await using scope = new Scope();
    const containers = await fakeContainers(scope, "one", "two", "three");
    const execs = containers.flatMap((it) => Array.from({ length: EXEC_PORTS }, () => it.exec()));
    const starts = Promise.allSettled(execs.map((it) => it.start()));
    await waitFor(() => relays().length === execs.length, {
      timeoutSeconds: 30,
      what: "all relays",
    });

    const reading = withinSeconds(10, waitpidAsync(spawnTrue()));
    assert.equal((await reading).exitCode, 0);
    // Nobody waits for this one. It is looked for when another has exited.
    const adopted = spawnTrue();
    await withinSeconds(10, services.reaper.wait(spawnTrue()));
    await waitFor(() => readProcessStat(adopted) === undefined, {
      timeoutSeconds: 10,
      what: "the end of what nobody waits for",
    });

    for (const exec of execs) await exec.kill(SIGKILL);
    for (const start of await starts) {
      assert.equal(start.status, "rejected");
      assert.match(`${start.reason}`, /it was killed before/);
    }
    assert.deepEqual(relays(), []);
  },
);

testIf("shim, exec: a relay that cannot be waited for is ended", NEEDS, async () => {
  await using scope = new Scope();
  const [container] = await fakeContainers(scope, "one");
  const failing = { readable: () => Promise.reject(new Error("no room for it")) };
  container!.services.reactor = failing as unknown as Reactor;
  const exec = container!.exec();
  await assert.rejects(() => exec.start(), /no room for it/);
  assert.equal((await exec.ended).status, 137);
  assert.deepEqual(relays(), []);
  await exec.delete();
});

function spawnTrue(): number {
  return spawn({ path: "/bin/true", argv: ["true"], env: [], fds: [] });
}

async function withinSeconds<T>(seconds: number, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`not within ${seconds} s`)), seconds * 1000);
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
