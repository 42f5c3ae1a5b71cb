/**
 * `deno task test:soak kill [ROUNDS [SEED]]`: kill -9 of one process after the other, at random moments
 * of containers' lives: creators, inits, shims, waiters, monitors, some of which outlive their waiter; `urunc
 * exec` and the relays that it starts, where /dev/kvm is: the double is Firecracker then, whose guest has an agent.
 * After each, the container is removed as a caller would, and nothing of it may be left.
 */
import assert from "node:assert/strict";
import {
  assertNothingLeft as assertNothingOfShims,
  GUEST,
  startWithDouble,
} from "../e2e/containerd/_common.ts";
import { makePair, type Namespace } from "../integration/network_support.ts";
import type { Containerd } from "../support/containerd.ts";
import { doubleConfiguration } from "../support/double.ts";
import { heldPidNamespace } from "../support/pid_namespace.ts";
import { childrenOf, listPids, readCommandLine, waitFor } from "../support/process.ts";
import {
  agentDoubleContainer,
  assertNothingLeft,
  assertSucceeded,
  type Container,
  doubleContainer,
} from "../support/runtime.ts";
import type { Scope } from "../support/scope.ts";
import { missingReason } from "../support/skip.ts";
import { uruncBinary, uruncRoot } from "../support/urunc.ts";

/** What is killed: of a container that is made by the command line, or by a shim. */
const VICTIMS = [
  ...["creator", "init", "waiter", "monitor"] as const,
  ...["shim", "shim's init", "shim's waiter", "shim's monitor"] as const,
  ...["exec", "relay"] as const,
];
type Victim = (typeof VICTIMS)[number];

/** What is executed in a guest runs so long: until the kill, and sometimes no longer. Milliseconds. */
const EXEC_TIME = 400;

/** How many kills found whom they were for: it may not have begun, or be gone, by then. */
export type Kills = Map<Victim, { rounds: number; hits: number }>;

/** How long a container's creation takes on a busy machine, twice. Milliseconds. */
const LONGEST_DELAY = 300;

/** How long what was killed may take to go. */
const SETTLE_SECONDS = 30;

/**
 * @param seed of the random numbers: the same one, the same kills
 * @throws Error at the first thing that is left, with the round
 */
export async function soakKills(
  scope: Scope,
  { rounds, seed }: { rounds: number; seed: number },
): Promise<Kills> {
  const random = randomNumbers(seed);
  const commands = await CommandLine.prepare(scope);
  const it = await startWithDouble(scope);
  const victims = missingReason("kvm") === undefined ? VICTIMS : VICTIMS.slice(0, -2);
  const kills: Kills = new Map(victims.map((victim) => [victim, { rounds: 0, hits: 0 }]));
  for (let round = 0; round < rounds; round++) {
    const victim = victims[Math.floor(random() * victims.length)]!;
    const delay = random() * LONGEST_DELAY;
    const outlives = random() < 0.5;
    const count = kills.get(victim)!;
    count.rounds++;
    try {
      const isHit = victim.startsWith("shim")
        ? await killOfShim(it, `k${round}`, victim, { delay, outlives })
        : await commands.kill(victim, { delay, outlives });
      if (isHit) count.hits++;
    } catch (error) {
      throw new Error(`round ${round}, seed ${seed}: ${victim} after ${delay} ms`, {
        cause: error,
      });
    }
  }
  return kills;
}

interface Moment {
  /** Milliseconds. */
  delay: number;
  /** Whether the monitor goes on without its waiter, if it can. */
  outlives: boolean;
}

const commandsOf = ({ outlives }: Moment) => outlives ? "outlive; ignore 15; idle" : "idle";

/** Containers by the command line, whose network namespace outlives them, and the PID namespace of some. */
class CommandLine {
  readonly #network: Namespace;
  readonly #before: string;
  /** By whether the monitor outlives the waiter. */
  readonly #containers: Map<boolean, Container>;
  /** Its guest has an agent. */
  readonly #agent: Container;
  readonly #scope: Scope;

  private constructor(
    scope: Scope,
    network: Namespace,
    before: string,
    containers: Map<boolean, Container>,
    agent: Container,
  ) {
    this.#scope = scope;
    this.#agent = agent;
    this.#network = network;
    this.#before = before;
    this.#containers = containers;
  }

  static async prepare(scope: Scope): Promise<CommandLine> {
    const { container: network } = await makePair(scope);
    const shared = {
      root: await uruncRoot(scope),
      config: await doubleConfiguration(scope, 'accelerator = "tcg"'),
    };
    const pids = new Map([[false, undefined], [true, await heldPidNamespace(scope)]]);
    const containers = new Map<boolean, Container>();
    for (const [outlives, path] of pids) {
      const types = ["ipc", "uts", "mount"].map((type) => ({ type }));
      const container = await doubleContainer(scope, commandsOf({ delay: 0, outlives }), {
        ...shared,
        namespaces: [
          ...types,
          { type: "pid", path },
          { type: "network", path: `/run/netns/${network.name}` },
        ],
      });
      containers.set(outlives, container);
    }
    const agent = await agentDoubleContainer(scope, `sleep 50; vsock-agent 0 9 ${EXEC_TIME}; idle`);
    const process = { cwd: "/", args: ["program"], user: { uid: 0, gid: 0 } };
    await Deno.writeTextFile(processFile(agent), JSON.stringify(process));
    return new CommandLine(scope, network, await network.snapshot(), containers, agent);
  }

  /** Returns whether there was a victim. */
  async kill(victim: Victim, moment: Moment): Promise<boolean> {
    const isOfExec = victim === "exec" || victim === "relay";
    const container = isOfExec ? this.#agent : this.#containers.get(moment.outlives)!;
    const isHit = isOfExec
      ? await killInExec(container, victim, moment)
      : victim === "creator" || victim === "init"
      ? await this.#killInCreate(container, victim, moment)
      : await killInStart(container, victim, moment);
    assertSucceeded(await container.delete("--force"), "delete --force");
    const check = () => {
      assertNothingLeft(container);
      assert.deepEqual(relaysOf(container), [], "relays are left");
    };
    await waitFor(() => isSilent(check), {
      timeoutSeconds: SETTLE_SECONDS,
      what: "nothing to be left",
    }).catch(check);
    assert.equal(await this.#network.snapshot(), this.#before);
    return isHit;
  }

  async #killInCreate(container: Container, victim: Victim, moment: Moment): Promise<boolean> {
    const { child, code } = await container.spawn(this.#scope, "create");
    await sleep(moment.delay);
    // By the shell that redirects its output, in whose place it is.
    const pid = victim === "creator" ? child.pid : childrenOf(child.pid).find(isForked);
    const isHit = pid !== undefined && kill(pid);
    await code;
    return isHit;
  }
}

/** Of a waiter, or its monitor, from the moment of `start`. */
async function killInStart(
  container: Container,
  victim: Victim,
  { delay }: Moment,
): Promise<boolean> {
  const waiter = await container.mustCreate();
  const started = container.start();
  await sleep(delay);
  const pid = victim === "waiter" ? waiter : childrenOf(waiter)[0];
  const isHit = pid !== undefined && kill(pid);
  await started;
  return isHit;
}

function processFile({ bundle }: Container): string {
  return `${bundle}/process.json`;
}

/** From the moment of `exec`, or from when it has started a relay. */
async function killInExec(
  container: Container,
  victim: Victim,
  { delay }: Moment,
): Promise<boolean> {
  await container.mustStart();
  const { root, id } = container;
  const exec = new Deno.Command(await uruncBinary(), {
    args: ["--root", root, "exec", "--process", processFile(container), id],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const relay = () => relaysOf(container)[0];
  if (victim === "relay") {
    await waitFor(relay, {
      timeoutSeconds: SETTLE_SECONDS,
      what: victim,
      intervalMilliseconds: 2,
    });
  }
  await sleep(delay);
  const pid = victim === "relay" ? relay() : exec.pid;
  const isHit = pid !== undefined && kill(pid);
  await exec.status;
  return isHit;
}

/** Nothing on their command lines has a container's name; each holds a lock in its state directory. */
function relaysOf({ root, id }: Container): number[] {
  return listPids().filter((pid) =>
    readCommandLine(pid)[0] === "urunc-relay" &&
    filesOf(pid).some((it) => it.startsWith(`${root}/${id}/`))
  );
}

/** Of a process that has ended: none. */
function filesOf(pid: number): string[] {
  try {
    const directory = `/proc/${pid}/fd`;
    return [...Deno.readDirSync(directory)].map(({ name }) =>
      Deno.readLinkSync(`${directory}/${name}`)
    );
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Of a shim, or of what it has started, from the moment that containerd is asked for a task. */
async function killOfShim(
  it: Containerd,
  id: string,
  victim: Victim,
  moment: Moment,
): Promise<boolean> {
  const [program, ...args] = it.ctrRunCommand(["--detach", "--null-io"], GUEST, id, [
    commandsOf(moment),
  ]);
  const ctr = new Deno.Command(program!, {
    args,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const pid = await findSoon(it, victim, moment.delay);
  const isHit = pid !== undefined && kill(pid);
  await ctr.status;
  await removeTask(it, id);
  // When a shim is killed before containerd is connected to it, containerd does not call `delete`: its
  // socket stays, as one of containerd-shim-runc-v2 does, for the next shim of the same container.
  if (victim === "shim") await runAgain(it, id);
  await assertNothingOfShims(it);
  return isHit;
}

/**
 * At a moment of its own: a shim and its init are there soon, the other two when the task starts.
 *
 * @returns undefined when it does not come, because ctr has failed
 */
async function findSoon(
  it: Containerd,
  victim: Victim,
  delay: number,
): Promise<number | undefined> {
  const isOfTask = victim === "shim's waiter" || victim === "shim's monitor";
  await sleep(isOfTask ? 0 : delay + LONGEST_DELAY / 2);
  if (!isOfTask) return findOfShim(it, victim);
  const pid = await waitFor(() => findOfShim(it, victim), {
    timeoutSeconds: SETTLE_SECONDS,
    what: victim,
    intervalMilliseconds: 2,
  }).catch(() => undefined);
  await sleep(delay / 3);
  return pid;
}

function findOfShim(it: Containerd, victim: Victim): number | undefined {
  const shims = it.shims().filter((pid) => !isInit(pid));
  if (victim === "shim") return shims[0];
  const children = shims.flatMap((pid) => childrenOf(pid));
  if (victim === "shim's init") return children.find(isInit);
  const waiters = children.filter((pid) => readCommandLine(pid)[0] === "urunc-waiter");
  return victim === "shim's waiter" ? waiters[0] : waiters.flatMap((pid) => childrenOf(pid))[0];
}

/** As a caller does: until containerd has noticed what happened, it may refuse. */
async function removeTask(it: Containerd, id: string): Promise<void> {
  let said = "";
  await waitFor(async () => {
    await it.ctr(["task", "rm", "--force", id]);
    const { code, stderr } = await it.ctr(["containers", "delete", id]);
    said = stderr;
    return code === 0 || /not found/.test(stderr);
  }, { timeoutSeconds: SETTLE_SECONDS, what: `the removal of ${id}` }).catch((error) => {
    throw new Error(`${error.message}: ${said}`);
  });
}

/** The clean-up of the task before may take a moment longer than the container's removal. */
async function runAgain(it: Containerd, id: string): Promise<void> {
  await waitFor(async () => {
    const again = await it.ctrRun(["--rm"], GUEST, id, ["exit 0"]);
    if (again.code === 0) return true;
    if (!again.stderr.includes("already exists")) assertSucceeded(again, "the same one again");
    await it.ctr(["containers", "delete", id]);
  }, { timeoutSeconds: SETTLE_SECONDS, what: `${id} to run again` });
}

function isInit(pid: number): boolean {
  return readCommandLine(pid).includes("init");
}

/** As its creator calls itself, until it becomes the waiter. */
function isForked(pid: number): boolean {
  return readCommandLine(pid).includes("create");
}

/** Returns false when it is gone. */
function kill(pid: number): boolean {
  try {
    Deno.kill(pid, "SIGKILL");
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    // Deno's own words for a child that has ended.
    if (error instanceof TypeError) return false;
    throw error;
  }
}

function isSilent(check: () => void): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Mulberry32: numbers from 0 to 1, the same ones for the same seed. */
function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ state >>> 15, 1 | state);
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed;
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  };
}
