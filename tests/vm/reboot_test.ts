/** A node that goes down with guests running comes up as one on which all of them can be deleted. */
import assert from "node:assert/strict";
import { anotherNodeName, testIf } from "../support/skip.ts";
import { nodeNeeds, type VmNode, withNode } from "./node.ts";
import { NODE_REPOSITORY } from "./payload.ts";

/** One guest of docker, one of podman, one of nobody but urunc; and one with a disk. */
const START = ["deno", "run", "-A", "--no-lock", "--no-check", "--cached-only"];
const SCRIPT = `${NODE_REPOSITORY}/tests/vm/node/start_guests.ts`;
const DISK_SCRIPT = `${NODE_REPOSITORY}/tests/vm/node/disk_guest.ts`;

testIf("a node that goes down with guests running: all is deleted, and new ones start", {
  ...nodeNeeds(),
  timeoutSeconds: 1800,
}, async (context) => {
  // Not steps: a node that halts in one is booted anew, and what is left is done there.
  const left = [{ name: "reboot", hard: false }, { name: "power cut", hard: true }];
  let nodes = 0;
  await withNode({}, async (node) => {
    nodes++;
    for (let next = left[0]; next !== undefined; left.shift(), next = left[0]) {
      await startGuests(node);
      const seconds = await node.reboot({ hard: next.hard });
      console.log(`${next.name}: the node is up again after ${seconds.toFixed(1)} s`);
      await assertNothingRuns(node);
      await deleteAll(node);
      await assertDiskIsKept(node);
      await assertNothingIsLeft(node);
    }
  });
  if (nodes > 1) await context.step(anotherNodeName("reboot and power cut"), () => {});
});

/** What takes a guest, and what only asks or deletes: one processor does all of it. */
const WITH_GUESTS = { timeoutSeconds: 600, check: true };
const WITHOUT = { timeoutSeconds: 240, check: true };

async function startGuests(node: VmNode): Promise<void> {
  const [guests, disk] = await all(
    node.run([...START, SCRIPT], WITH_GUESTS),
    node.run([...START, DISK_SCRIPT, "start"], WITH_GUESTS),
  );
  assert.match(guests!.stdout, /docker podman urunc\n$/);
  assert.equal(disk!.stdout, "wrote 1\n");
}

/** The file system is whole, what a guest had written is there, and the next guest reads it. */
async function assertDiskIsKept(node: VmNode): Promise<void> {
  const { stdout } = await node.run([...START, DISK_SCRIPT, "check"], WITH_GUESTS);
  assert.equal(stdout, "read 1: before\n");
}

/** Before anybody asks for it: what the reboot killed did not come back by itself. */
async function assertNothingRuns(node: VmNode): Promise<void> {
  const { stdout } = await node.run(["ps", "-e", "-o", "comm="], { check: true });
  assert.ok(!/qemu|conmon|containerd-shim/.test(stdout), stdout);
}

async function deleteAll(node: VmNode): Promise<void> {
  const id = "rebooted";
  await all(
    node.run(["docker", "rm", "--force", id], WITHOUT),
    node.run(["podman", "rm", "--force", "--time=1", id], WITHOUT),
    node.run(["urunc", "delete", "--force", id], WITHOUT),
  );
}

/** To the ends of all, also when one fails: what still runs would run beside the test. */
async function all<T>(...promises: Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return await Promise.all(promises);
}

async function assertNothingIsLeft(node: VmNode): Promise<void> {
  const out = async (argv: string[]) => (await node.run(argv, WITHOUT)).stdout;
  const [docker, podman, urunc, cgroups, mounts, links] = await all(
    out(["docker", "ps", "--all", "--quiet"]),
    out(["podman", "ps", "--all", "--quiet"]),
    out(["urunc", "list", "--format=json"]),
    out(["find", "/sys/fs/cgroup", "-type", "d"]),
    out(["cat", "/proc/self/mountinfo"]),
    out(["ip", "-o", "link"]),
  );
  assert.deepEqual([docker, podman, JSON.parse(urunc!) ?? []], ["", "", []]);
  assert.doesNotMatch(cgroups!, /docker-|libpod-|urunc\/./);
  assert.doesNotMatch(mounts!, /overlay/);
  assert.doesNotMatch(links!, /veth|tap/);
}
