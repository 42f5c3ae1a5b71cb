/**
 * Two nodes at the same time, whose kvm groups have different numbers: one image suits both, and
 * `urunc doctor --compare` names what differs.
 */
import assert from "node:assert/strict";
import type { NodeFacts } from "../../lib/doctor/facts.ts";
import { run, waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { uruncBinary } from "../support/urunc.ts";
import { InnerRun } from "./_inner.ts";
import { nodeImage } from "./image.ts";
import { nodeNeeds, type VmNode, withNode } from "./node.ts";

const OTHER_GID = 4242;
const OTHER_KERNEL = "6.1.0-other";
const OTHER_RUNC = "9.9.9";

/** For the command that follows alone: the node's packages are the image's. */
const OTHERWISE = `set -e
mount -t tmpfs -o mode=0755 none /mnt
echo ${OTHER_KERNEL} >/mnt/release
printf '#!/bin/sh\\necho runc version ${OTHER_RUNC}\\n' >/mnt/runc; chmod +x /mnt/runc
mount --bind /mnt/release /proc/sys/kernel/osrelease
mount --bind /mnt/runc /usr/sbin/runc
exec "$@"`;

testIf("two nodes whose kvm groups have different numbers", {
  ...nodeNeeds(2),
  timeoutSeconds: 1200,
}, async (context) => {
  const files = ["tests/vm/node/kvm_group_test.ts"];
  const first = new InnerRun(context, files, "the image's number: ");
  const second = new InnerRun(context, files, "another number: ");
  const { disk } = await nodeImage();
  const written = () => Deno.statSync(disk).mtime;
  const before = written();
  const reports: { one?: Report; other?: Report } = {};
  // Each is made up for by itself; neither is left alone when the other fails.
  const ended = await Promise.allSettled([
    withNode({}, async (node) => {
      assert.notEqual(await kvmGid(node), OTHER_GID);
      reports.one = await examine(node, []);
      await first.in(node);
    }),
    withNode({ kvmGid: OTHER_GID }, async (node) => {
      assert.equal(await kvmGid(node), OTHER_GID);
      reports.other = await examine(node, ["unshare", "--mount", "sh", "-c", OTHERWISE, "sh"]);
      await second.in(node);
    }),
  ]);
  const failures = ended.filter((it) => it.status === "rejected").map((it) => it.reason);
  if (failures.length > 0) throw new AggregateError(failures, failures.join("\n"));
  assert.deepEqual(written(), before, "a node wrote to the image that all nodes start from");
  await context.step("doctor --compare names exactly what differs", () => compare(reports));
});

async function kvmGid(node: VmNode): Promise<number> {
  const { stdout } = await node.run(["stat", "--format=%g", "/dev/kvm"], { check: true });
  return Number(stdout);
}

/** What a node's doctor printed, and three of its facts. */
interface Report {
  text: string;
  gid: number;
  release: string;
  runc: string;
}

async function examine(node: VmNode, wrapper: string[]): Promise<Report> {
  const argv = [...wrapper, "urunc", "doctor", "--json"];
  return await waitFor(async () => {
    const { stdout: text } = await node.run(argv, { timeoutSeconds: 120 });
    const { kvm, kernel, runtime, podman, containerd, docker, monitors }: NodeFacts =
      JSON.parse(text).facts;
    // A program that was not in memory yet may answer later than doctor waits for it.
    const asked = [runtime, podman, containerd, docker?.running, monitors.qemu];
    if (asked.some((it) => it?.version === undefined)) return undefined;
    return { text, gid: kvm.device!.gid, release: kernel.release, runc: runtime.version! };
  }, { timeoutSeconds: 240, what: "every program to say its version" });
}

async function compare({ one, other }: { one?: Report; other?: Report }): Promise<void> {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("reports");
  await Deno.writeTextFile(`${directory}/one`, one!.text);
  await Deno.writeTextFile(`${directory}/other`, other!.text);
  const argv = [await uruncBinary(), "doctor", "--compare", "one", "other"];
  const { code, stdout } = await run(argv, { cwd: directory });
  assert.equal(code, 1);
  const rows = stdout.trimEnd().split("\n").map((it) => it.split(/ +/));
  assert.deepEqual(rows, [
    ["FACT", "one", "other"],
    ...[
      [`groupNames.${OTHER_GID}`, "-", '"kvm"'],
      [`groupNames.${one!.gid}`, '"kvm"', "-"],
    ].sort(),
    ["kernel.release", `"${one!.release}"`, `"${OTHER_KERNEL}"`],
    ["kvm.device.gid", `${one!.gid}`, `${OTHER_GID}`],
    ["runtime.version", `"${one!.runc}"`, `"${OTHER_RUNC}"`],
    // It is the same group's.
    ["vhostNet.gid", `${one!.gid}`, `${OTHER_GID}`],
  ]);
}
