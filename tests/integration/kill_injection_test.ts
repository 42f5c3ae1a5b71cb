/**
 * kill -9 of the creator, of init or of the file server right after every single step: whatever was made by then,
 * `delete --force` takes it away, and never a byte of a root that is the guest's disk.
 */
import assert from "node:assert/strict";
import { doubleConfiguration } from "../support/double.ts";
import { FAULT_MARK, faultBinary } from "../support/fault.ts";
import { type BundleOptions, makeBundle } from "../support/fixtures.ts";
import { FIRST_ID } from "../support/host_ids.ts";
import { assertNoLeaks, takeSnapshot } from "../support/leaks.ts";
import { childrenOf, isAlive, readCommandLine, run, waitFor } from "../support/process.ts";
import {
  assertReleased,
  isMountPoint,
  putOnDisk,
  ROOT_DISK_ANNOTATION,
  ROOT_DISK_NEEDS,
} from "../support/root_disk.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { urunc, uruncRoot } from "../support/urunc.ts";
import { RUN_PREFIX } from "../support/mark.ts";

type Victim = "creator" | "init" | "file server";

/** Fewer steps than these would mean that the switch does not work. */
const LEAST_STEPS = { command: 8, namespaces: 3, launch: 30 };

/** As its process calls itself until it executes it: lib/plan/file_server.ts. */
const FILE_SERVER = "urunc-files";

interface Bench {
  fault: string;
  root: string;
  config: string;
  bundle: string;
  netns: string;
  /** The file with the container's root, when that is the guest's disk. */
  disk?: string;
}

/** Of which container, as far as steps differ. */
type Kind =
  | ""
  | " of a root disk"
  | " of an agent on two networks"
  | " with shared files"
  | " with shared files and their owners";

const CASES: { phase: keyof typeof LEAST_STEPS; kind: Kind }[] = [
  { phase: "command", kind: "" },
  { phase: "namespaces", kind: "" },
  { phase: "launch", kind: "" },
  { phase: "launch", kind: " of a root disk" },
  { phase: "launch", kind: " of an agent on two networks" },
  { phase: "launch", kind: " with shared files" },
  { phase: "launch", kind: " with shared files and their owners" },
];

const SHARES: readonly Kind[] = [" with shared files", " with shared files and their owners"];

const NEEDS: Partial<Record<Kind, readonly string[]>> = {
  " of a root disk": ROOT_DISK_NEEDS,
  " with shared files": ["virtiofsd"],
  " with shared files and their owners": ["virtiofsd"],
};

for (const { phase, kind } of CASES) {
  const victims: Victim[] = ["creator", "init"];
  if (SHARES.includes(kind)) victims.push("file server");
  for (const victim of victims) {
    testIf(
      `kill -9 of the ${victim} after every step of the ${phase}${kind} leaves nothing`,
      { needs: ["root", "gcc", "ip", ...NEEDS[kind] ?? []], timeoutSeconds: 360 },
      async () => {
        await using scope = new Scope();
        const bench = await prepare(scope, kind);
        const before = takeSnapshot();
        let [steps, kills] = [0, 0];
        for (;; steps++) {
          const { reached, killed } = await killAfter(bench, phase, steps, victim);
          if (!reached) break;
          if (killed) kills++;
        }
        // Only what could be ours: other work on the machine comes and goes. Names have the step.
        assertNoLeaks(
          before,
          takeSnapshot(),
          new RegExp(`${RUN_PREFIX}kill|${bench.root}|${bench.fault}`),
        );
        assert.ok(kills > 0, `there was a ${victim}`);
        assert.ok(steps >= LEAST_STEPS[phase], `${steps} steps were reached`);
      },
    );
  }
}

/** A container whose network namespace outlives it, so that what is left there shows. */
async function prepare(scope: Scope, kind: Kind): Promise<Bench> {
  const onDisk = kind === " of a root disk";
  const netns = `${RUN_PREFIX}${Deno.pid}`;
  await run(["ip", "netns", "add", netns], { check: true });
  scope.defer(`delete namespace ${netns}`, () => run(["ip", "netns", "del", netns]));
  const ip = (...args: string[]) => run(["ip", "-n", netns, ...args], { check: true });
  await ip("link", "add", "eth0", "type", "veth", "peer", "name", "peer0");
  await ip("addr", "add", "10.9.0.2/24", "dev", "eth0");
  await ip("link", "set", "eth0", "up");
  await ip("link", "set", "peer0", "up");
  await ip("route", "add", "default", "via", "10.9.0.1");

  let guest: Partial<BundleOptions> = {};
  if (kind !== "" && !onDisk) {
    const initrd = `${await scope.temporaryDirectory("initrd")}/initrd`;
    await Deno.writeTextFile(initrd, "070701");
    guest = { unikernelType: "linux", initrd, unikernel: { agent: "on" } };
  }
  if (SHARES.includes(kind)) {
    const source = await scope.temporaryDirectory("volume");
    const mount = { source, destination: "/data", type: "bind", options: ["rbind"] };
    guest.edit = (config) => config.mounts = [mount];
  }
  if (kind === " of an agent on two networks") {
    const other = `${netns}b`;
    await run(["ip", "netns", "add", other], { check: true });
    scope.defer(`delete namespace ${other}`, () => run(["ip", "netns", "del", other]));
    await ip("link", "add", "eth1", "type", "veth", "peer", "name", "peer1", "netns", other);
    await ip("link", "set", "eth1", "up");
  }

  const { bundle, rootfs, cleanup } = await makeBundle({
    ...guest,
    annotations: onDisk ? ROOT_DISK_ANNOTATION : {},
    args: ["idle"],
    accelerator: "tcg",
    namespaces: [
      { type: "pid" },
      { type: "ipc" },
      { type: "uts" },
      { type: "mount" },
      { type: "cgroup" },
      { type: "network", path: `/run/netns/${netns}` },
    ],
    memoryLimit: 512 * 1024 * 1024,
  });
  scope.defer("remove the bundle", cleanup);
  const mapped = kind.endsWith("owners") ? '[guests.linux]\nfile_access = "userns"\n' : "";
  const disk = onDisk ? (await putOnDisk(scope, { bundle, rootfs })).file : undefined;
  return {
    disk,
    fault: await faultBinary(scope),
    root: await uruncRoot(scope),
    config: await doubleConfiguration(
      scope,
      `[ids]\nmode = "userns"\nrange = "${FIRST_ID}-${FIRST_ID + 2 ** 16}"\n${mapped}`,
    ),
    bundle,
    netns,
  };
}

/** @returns whether there is such a step, and by then was a victim */
async function killAfter(
  bench: Bench,
  phase: string,
  index: number,
  victim: Victim,
): Promise<{ reached: boolean; killed: boolean }> {
  const id = `${RUN_PREFIX}kill-${victim.replace(" ", "-")}-${phase}-${index}`;
  const { disk } = bench;
  const rootfs = `${bench.bundle}/rootfs`;
  if (disk !== undefined && !isMountPoint(rootfs)) {
    await run(["mount", "-o", "loop", disk, rootfs], { check: true });
  }
  const networkBefore = await describeNetwork(bench.netns);

  // Not a pipe: the container would keep it open.
  const errors = `${bench.root}.errors`;
  const words = ["--root", bench.root, "--config", bench.config, "create", "-b", bench.bundle, id];
  const creator = new Deno.Command("sh", {
    args: ["-c", 'exec "$@" 2>"$0"', errors, bench.fault, ...words],
    env: { URUNC_FAULT: `${phase}:${index}` },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reached = await readsMark(creator);
  const family = [creator.pid, ...childrenOf(creator.pid).flatMap((it) => [it, ...childrenOf(it)])];
  const pid = reached ? processOf(victim, family) : undefined;
  if (pid !== undefined) Deno.kill(pid, "SIGKILL");
  const { success } = await creator.status;
  if (!reached) assert.ok(success, `${id}: create: ${Deno.readTextFileSync(errors)}`);
  // An init that dies when its container is complete is a container that has stopped.
  else if (success && pid !== undefined) await assertStopped(id, bench, victim);

  const { code, stderr } = await urunc(["delete", "--force", id], { root: bench.root });
  assert.equal(code, 0, `${id}: delete --force: ${stderr}`);
  await waitFor(() => !remains(bench) && !family.some(isAlive), {
    timeoutSeconds: 10,
    what: `${id} to be gone`,
  });
  assert.equal(await describeNetwork(bench.netns), networkBefore, id);
  if (disk !== undefined) {
    if (isMountPoint(rootfs)) await run(["umount", rootfs], { check: true });
    await assertReleased(disk);
  }
  return { reached, killed: pid !== undefined };
}

/**
 * @param family the creator, init and its children, in this order
 * @returns undefined: there is none yet
 */
function processOf(victim: Victim, family: number[]): number | undefined {
  const [creator, init, ...children] = family;
  if (victim === "creator") return creator;
  if (victim === "init") return init;
  return children.find((it) => readCommandLine(it)[0] === FILE_SERVER);
}

async function assertStopped(id: string, bench: Bench, victim: Victim): Promise<void> {
  if (victim === "file server") {
    // On a busy machine it may be killed after the pause only. The waiter hears of that at the start.
    await urunc(["start", id], { root: bench.root });
    const hasStopped = async () => await statusOf(id, bench) === "stopped";
    await waitFor(hasStopped, { timeoutSeconds: 10, what: `${id} to have stopped` });
  }
  assert.equal(await statusOf(id, bench), "stopped", `${id}: create succeeded`);
}

async function statusOf(id: string, bench: Bench): Promise<string> {
  const { stdout } = await urunc(["state", id], { root: bench.root, check: true });
  return JSON.parse(stdout).status;
}

/** Reads until the mark, or until the creator has exited: then the step was not reached. */
async function readsMark({ stdout, status }: Deno.ChildProcess): Promise<boolean> {
  const reader = stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  // The container holds standard output open, so its end does not come with create's.
  let timer: ReturnType<typeof setTimeout> | undefined;
  void status.then(() => timer = setTimeout(() => reader.cancel(), 500));
  while (!text.includes(FAULT_MARK)) {
    const { done, value } = await reader.read();
    if (done) break;
    text += value;
  }
  clearTimeout(timer);
  await reader.cancel();
  return text.includes(FAULT_MARK);
}

/** Processes of this container that have not ended yet. */
function remains(bench: Bench): boolean {
  for (const { name } of Deno.readDirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || !isAlive(pid)) continue;
    try {
      if (Deno.readLinkSync(`/proc/${pid}/exe`).startsWith(bench.fault)) return true;
    } catch {
      // It has just ended, or is a kernel thread.
    }
  }
  return false;
}

async function describeNetwork(netns: string): Promise<string> {
  const links = await run(["ip", "-n", netns, "-o", "link"], { check: true });
  const disciplines = await run(["tc", "-n", netns, "qdisc", "show"], { check: true });
  return links.stdout + disciplines.stdout;
}
