/**
 * Many containers' lives, some at a time, with the monitor's test double: what is left of them, and
 * whether `list` is right at every moment between.
 */
import assert from "node:assert/strict";
import { doubleConfiguration } from "../support/double.ts";
import { findLeaks, takeSnapshot } from "../support/leaks.ts";
import { RUN_MARK } from "../support/mark.ts";
import { run, waitFor } from "../support/process.ts";
import {
  assertNothingLeft,
  assertSucceeded,
  type Container,
  doubleContainer,
} from "../support/runtime.ts";
import type { Scope } from "../support/scope.ts";
import { urunc, uruncRoot } from "../support/urunc.ts";
import { type Census, takeCensus } from "./census.ts";

/** How much is to be done. */
export interface SoakOptions {
  /** Lives of containers in all. */
  rounds: number;
  /** How many at a time. */
  lanes: number;
  /** Lives before the first count: what the kernel and the tests keep from the first on. */
  warmUp: number;
}

/** What was found. */
export interface SoakResult {
  seconds: number;
  /** How many times `list` was asked. */
  lists: number;
  /** In how many states it showed containers. */
  listed: Map<string, number>;
  before: Census;
  after: Census;
}

/** How long the machine may take to let go of what has ended. */
const SETTLE_SECONDS = 15;

/** How containers end, in turn. */
const ENDS = ["KILL", "TERM", "by itself", "delete --force"] as const;

/**
 * Lives of containers: create, start, end, delete; each in a network namespace that outlives it.
 *
 * @throws Error at the first thing that is not as it should be; the counts are the caller's to judge
 */
export async function soak(scope: Scope, options: SoakOptions): Promise<SoakResult> {
  const root = await uruncRoot(scope);
  const config = await doubleConfiguration(scope, 'accelerator = "tcg"');
  const lanes: Lane[] = [];
  for (let index = 0; index < options.lanes; index++) {
    lanes.push(await makeLane(scope, index, { root, config }));
  }
  await allOrFirstError([live(lanes, { left: options.warmUp })]);

  const lister = new Lister(root, lanes);
  const before = takeCensus();
  const snapshot = takeSnapshot();
  const networks = await describeNetworks(lanes);
  const started = performance.now();
  const work = { left: options.rounds };
  await allOrFirstError([
    live(lanes, work).finally(() => lister.end()),
    lister.run().finally(() => work.left = 0),
  ]);
  const seconds = (performance.now() - started) / 1000;

  await settle(before, () => leaksOf(lanes, root, snapshot));
  assert.deepEqual([...Deno.readDirSync(root)].map((it) => it.name), []);
  assert.equal(await describeNetworks(lanes), networks);
  return { seconds, lists: lister.lists, listed: lister.listed, before, after: takeCensus() };
}

type Status = "absent" | "creating" | "created" | "running" | "stopped";

/** Containers of one id, one after the other, and what `list` may say of them. */
class Lane {
  readonly container: Container;
  readonly end: typeof ENDS[number];
  #now: Status[] = ["absent"];
  /** What was right at any moment since the last question. */
  possible: Set<Status> = new Set(this.#now);

  constructor(container: Container, end: Lane["end"]) {
    this.container = container;
    this.end = end;
  }

  /** From now on one of these is right. */
  allow(...statuses: Status[]): void {
    this.#now = statuses;
    for (const it of statuses) this.possible.add(it);
  }

  forget(): void {
    this.possible = new Set(this.#now);
  }
}

async function makeLane(
  scope: Scope,
  index: number,
  shared: { root: string; config: string },
): Promise<Lane> {
  const id = `soak-${RUN_MARK}-${index}`;
  const end = ENDS[index % ENDS.length]!;
  await run(["ip", "netns", "add", id], { check: true });
  scope.defer(`delete namespace ${id}`, () => run(["ip", "netns", "del", id], { check: true }));
  const ip = (...args: string[]) => run(["ip", "-n", id, ...args], { check: true });
  await ip("link", "add", "eth0", "type", "veth", "peer", "name", "peer0");
  await ip("addr", "add", "10.9.0.2/24", "dev", "eth0");
  await ip("link", "set", "eth0", "up");
  await ip("route", "add", "default", "via", "10.9.0.1");
  const types = ["pid", "ipc", "uts", "mount", "cgroup"];
  const container = await doubleContainer(
    scope,
    `print ${id}; ${end === "by itself" ? "" : "idle"}`,
    {
      ...shared,
      id,
      memoryLimit: 512 << 20,
      namespaces: [
        ...types.map((type) => ({ type })),
        { type: "network", path: `/run/netns/${id}` },
      ],
    },
  );
  return new Lane(container, end);
}

/** All lanes at the same time, until there is no more work; the first error leaves none. */
async function live(lanes: Lane[], work: { left: number }): Promise<void> {
  await allOrFirstError(lanes.map(async (lane) => {
    try {
      while (work.left-- > 0) await liveOnce(lane);
    } catch (error) {
      work.left = 0;
      throw error;
    }
  }));
}

/** Waits for all of them, whatever happens: nobody works on while the scope cleans up. */
async function allOrFirstError(promises: Promise<unknown>[]): Promise<void> {
  for (const it of await Promise.allSettled(promises)) {
    if (it.status === "rejected") throw it.reason;
  }
}

async function liveOnce(lane: Lane): Promise<void> {
  const { container, end } = lane;
  lane.allow("absent", "creating", "created");
  const pid = await container.mustCreate();
  lane.allow("created");
  if (end === "by itself") {
    lane.allow("created", "running", "stopped");
    assertSucceeded(await container.start(), "start");
    await container.waitForStatus("stopped");
  } else {
    lane.allow("created", "running");
    assertSucceeded(await container.start(), "start");
    lane.allow("running");
    assert.equal((await container.state()).status, "running");
  }
  if (end === "KILL" || end === "TERM") {
    lane.allow("running", "stopped");
    assertSucceeded(await container.kill(end), `kill ${end}`);
    await container.waitForStatus("stopped");
    lane.allow("stopped");
  }
  lane.allow(end === "delete --force" ? "running" : "stopped", "stopped", "absent");
  const force = end === "delete --force" ? ["--force"] : [];
  assertSucceeded(await container.delete(...force), "delete");
  lane.allow("absent");
  assertNothingLeft(container, pid);
}

/** Asks `list` over and over, and compares. */
class Lister {
  lists = 0;
  listed = new Map<string, number>();
  #root: string;
  #lanes: Lane[];
  #ended = false;

  constructor(root: string, lanes: Lane[]) {
    this.#root = root;
    this.#lanes = lanes;
  }

  end(): void {
    this.#ended = true;
  }

  async run(): Promise<void> {
    while (!this.#ended) {
      for (const lane of this.#lanes) lane.forget();
      const { code, stdout, stderr } = await urunc(["list", "--format", "json"], {
        root: this.#root,
      });
      assert.deepEqual([code, stderr], [0, ""], "list");
      const rows: { id: string; status: Status; pid: number; bundle: string }[] = JSON.parse(
        stdout,
      );
      this.lists++;
      for (const { container, possible } of this.#lanes) {
        const row = rows.find((it) => it.id === container.id);
        const status = row?.status ?? "absent";
        this.listed.set(status, (this.listed.get(status) ?? 0) + 1);
        assert.ok(
          possible.has(status),
          `list says of ${container.id}: ${JSON.stringify(row)}; possible: ${[...possible]}`,
        );
        if (row !== undefined) assert.equal(row.bundle, container.bundle);
      }
      assert.ok(rows.every((row) => this.#lanes.some((it) => it.container.id === row.id)));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Waits until nothing is left and the caller holds no more descriptors than before. */
async function settle(before: Census, leaks: () => string[]): Promise<void> {
  const found = () => {
    const more = takeCensus().descriptors - before.descriptors;
    return [...leaks(), ...(more > 0 ? [`${more} descriptors of the caller`] : [])];
  };
  await waitFor(() => found().length === 0, {
    timeoutSeconds: SETTLE_SECONDS,
    what: "nothing to be left",
  }).catch((error) => {
    throw new Error(`left behind: ${found().join("\n")}`, { cause: error });
  });
}

/** What is new and bears the name of one of ours: others may be at work on the machine. */
function leaksOf(lanes: Lane[], root: string, before: ReturnType<typeof takeSnapshot>): string[] {
  const names = [root, ...lanes.flatMap(({ container }) => [container.id, container.bundle])];
  return findLeaks(before, takeSnapshot()).filter((leak) => names.some((it) => leak.includes(it)));
}

async function describeNetworks(lanes: Lane[]): Promise<string> {
  let text = "";
  for (const { container: { id } } of lanes) {
    text += (await run(["ip", "-n", id, "-o", "link"], { check: true })).stdout;
    text += (await run(["tc", "-n", id, "qdisc", "show"], { check: true })).stdout;
  }
  return text;
}
