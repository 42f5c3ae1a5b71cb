/** The executable as containerd's shim on a node: cgroup v2, under systemd and without. */
import assert from "node:assert/strict";
import {
  assertNothingLeft,
  DOUBLE_NEEDS,
  GUEST,
  ORDINARY,
  startWithDouble,
  waitForStatus,
} from "../../e2e/containerd/_common.ts";
import { CRI_NEEDS, missingPlugins, startWithCri } from "../../e2e/containerd/_cri.ts";
import { Pod, runAs } from "../../support/pod.ts";
import { isAlive, readStatus, run, waitFor } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { nodeDocker } from "./_docker.ts";
import {
  assertRemoved,
  assertUnprivileged,
  cgroupOf,
  makeGuestImage,
  startIdle,
} from "./_guests.ts";

/** The node is emulated: clean-up takes more than the 5 s that containerd gives it. */
const PATIENT = `
[timeouts]
  "io.containerd.timeout.shim.cleanup" = "60s"
  "io.containerd.timeout.task.state" = "30s"
`;

const RUNTIME = "io.containerd.urunc.v2";

testIf("ctr on a node: output, exit code, metrics of cgroup v2, and a shim that is killed", {
  needs: DOUBLE_NEEDS,
  timeoutSeconds: 300,
}, async () => {
  await using scope = new Scope();
  const it = await startWithDouble(scope, { configuration: PATIENT });
  const hello = await it.ctrRun(["--rm"], GUEST, "hello", ["print hello; exit 7"]);
  assert.deepEqual([hello.code, hello.stdout, hello.stderr], [3, "hello\n", ""]);

  await it.ctrRun(["--detach"], GUEST, "guest", ["alloc 20; idle"]);
  await it.ctrRun(["--detach"], ORDINARY, "ordinary", ["/bin/sleep", "1000"]);
  const pids = new Map<string, number>();
  for (const [id, least] of [["guest", 20 << 20], ["ordinary", 1]] as const) {
    pids.set(id, await waitForStatus(it, id, "RUNNING"));
    const { stdout } = await it.ctr(["task", "metrics", "--format", "json", id], { check: true });
    const metrics = JSON.parse(stdout);
    assert.ok(Number(metrics.memory.usage) > least, stdout);
    assert.ok(Number(metrics.cpu.usage_usec) > 0, stdout);
    assert.ok(Number(metrics.pids.current) > 0, stdout);
  }
  for (const shim of it.shims()) Deno.kill(shim, "SIGKILL");
  for (const [id, pid] of pids) {
    await waitFor(() => !isAlive(pid), { timeoutSeconds: 90, what: `${id} to end` })
      .catch((error) => {
        throw new Error(
          `${error}; containerd says:\n${it.log().split("\n").slice(-20).join("\n")}`,
        );
      });
  }
  await waitFor(async () => (await it.ctr(["task", "ls", "--quiet"])).stdout === "", {
    timeoutSeconds: 60,
    what: "containerd to clean up",
  });
  await assertNothingLeft(it);
});

testIf("CRI on a node: pause, a guest and a sidecar in a slice of systemd's", {
  needs: [...CRI_NEEDS, "systemctl"],
  skip: missingPlugins(),
  timeoutSeconds: 300,
}, async () => {
  await using scope = new Scope();
  const it = await startWithCri(scope, true);
  // Of the pod, and so the kubelet's, who is not here, to end: systemd keeps it.
  const slice = "urunctestpod.slice";
  scope.defer("stop the slice", () => run(["systemctl", "stop", slice], { check: true }));
  const pod = await Pod.run(scope, it, { cgroupParent: slice });
  const { cri } = pod;
  const guest = await pod.start("guest", {
    image: GUEST,
    args: ["print up; alloc 20; idle"],
    linux: { resources: { memoryLimit: 512 << 20 }, ...runAs(65534, 65534, [1000]) },
  });
  await pod.logsWith("guest", "up");
  const pid = await cri.pid(guest);
  const status = readStatus(pid);
  assert.deepEqual(status.uids, [65534, 65534, 65534, 65534]);
  assert.deepEqual(status.groups.filter((gid) => gid !== 65534), [1000]);
  const cgroup = cgroupOf(pid);
  assert.equal(cgroup, `/${slice}/cri-containerd-${guest}.scope`);
  assert.equal(Deno.readTextFileSync(`/sys/fs/cgroup${cgroup}/memory.max`), `${512 << 20}\n`);

  const sidecar = await pod.start("sidecar", {
    image: ORDINARY,
    command: ["/bin/sh", "-c", "echo beside; exec sleep 1000"],
  });
  await pod.logsWith("sidecar", "beside");
  assert.equal(cgroupOf(await cri.pid(sidecar)), `/${slice}/cri-containerd-${sidecar}.scope`);
  assert.ok(await cri.memory(guest) > 20 << 20);
  assert.ok(await cri.memory(sidecar) > 0);
  // One for all three.
  assert.equal(it.shims().filter((shim) => readStatus(shim).nsPids.length === 1).length, 1);

  await pod.stopAndRemove(guest, 10);
  await pod.stopAndRemove(sidecar, 0);
  await pod.remove();
  await assertNothingLeft(it);
  const units = await run(["systemctl", "list-units", "--all", "--plain", "--no-legend"]);
  assert.ok(!units.stdout.includes("cri-containerd-"), units.stdout);
});

testIf("docker on a node with the shim: a guest on nested KVM in systemd's scope, and its stats", {
  needs: ["root", "kvm", "docker"],
  timeoutSeconds: 300,
}, async () => {
  await using scope = new Scope();
  const shim = "/usr/local/bin/containerd-shim-urunc-v2";
  await Deno.symlink("/usr/local/bin/urunc", shim);
  scope.defer("remove the shim's name", () => Deno.remove(shim));
  const it = nodeDocker(scope);
  await makeGuestImage(it);
  const guest = await startIdle(it, [`--runtime=${RUNTIME}`, "--memory=512m"]);
  await assertUnprivileged(it, guest);
  assert.equal(cgroupOf(guest.pid), `/system.slice/docker-${guest.id}.scope`);
  const stats = await it.docker(["stats", "--no-stream", "--format", "{{json .}}", guest.id], {
    check: true,
  });
  const { MemUsage, PIDs } = JSON.parse(stats.stdout);
  assert.match(MemUsage, /^[1-9]\d*\.?\d*MiB \/ 512MiB$/);
  assert.ok(Number(PIDs) > 0, stats.stdout);
  await assertRemoved(it, guest);
});
