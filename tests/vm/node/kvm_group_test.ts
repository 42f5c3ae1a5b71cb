/** Whatever the number of the node's kvm group is: private nodes need no group, the others this. */
import assert from "node:assert/strict";
import { GUEST } from "../../e2e/containerd/_common.ts";
import { missingPlugins, startWithCri } from "../../e2e/containerd/_cri.ts";
import { Pod, runAs } from "../../support/pod.ts";
import { monitorOf, run } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { nodeDocker } from "./_docker.ts";
import {
  AS_NOBODY,
  assertNobodyWithKvm,
  assertRemoved,
  assertUnprivileged,
  makeGuestImage,
  startIdle,
} from "./_guests.ts";

const needs = ["root", "kvm", "docker"];

async function kvmGid(): Promise<number> {
  const { stdout } = await run(["getent", "group", "kvm"], { check: true });
  return Number(stdout.split(":")[2]);
}

testIf("the host's /dev/kvm belongs to the kvm group, and still does while guests run", {
  needs,
  timeoutSeconds: 240,
}, async () => {
  await using scope = new Scope();
  const it = nodeDocker(scope);
  await makeGuestImage(it);
  const look = () => {
    const { mode, uid, gid } = Deno.statSync("/dev/kvm");
    return { mode: (mode ?? 0) & 0o7777, uid, gid };
  };
  const expected = { mode: 0o660, uid: 0, gid: await kvmGid() };
  assert.deepEqual(look(), expected);
  const guest = await startIdle(it, ["--runtime=urunc"]);
  await assertUnprivileged(it, guest);
  assert.deepEqual(look(), expected);
  await assertRemoved(it, guest);
  assert.deepEqual(look(), expected);
});

testIf("the same pod, without any supplemental group, runs whatever number the kvm group has", {
  needs: [...needs, "containerd", "ctr"],
  skip: missingPlugins(),
  timeoutSeconds: 240,
}, async () => {
  await using scope = new Scope();
  const it = await startWithCri(scope, false, "kvm");
  const pod = await Pod.run(scope, it);
  const config = { image: GUEST, args: ["idle"], linux: runAs(65534, 65534) };
  const guest = await pod.start("guest", config);
  await pod.logsWith("guest", "idle", 120);
  assertNobodyWithKvm(monitorOf(await pod.cri.pid(guest)));
  await pod.stopAndRemove(guest, 1);
  await pod.remove();
});

testIf('device_access = "groups": the number of this node\'s group lets a guest in, another not', {
  needs,
  timeoutSeconds: 240,
}, async () => {
  await using scope = new Scope();
  const it = nodeDocker(scope);
  await makeGuestImage(it);
  const gid = await kvmGid();
  const argv = (group: number) => [
    "run",
    "--rm",
    "--runtime=urunc-groups",
    ...AS_NOBODY,
    `--group-add=${group}`,
    ...["guest", "hello", "in", "0"],
  ];
  const refused = await it.docker(argv(gid + 1));
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, new RegExp(`--group-add ${gid}\\b`));
  const allowed = await it.docker(argv(gid));
  assert.equal(allowed.stdout.replaceAll("\r", ""), "in\n", allowed.stderr);
});
