/** The executable as containerd's shim on a node: cgroup v2, under systemd. */
import assert from "node:assert/strict";
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

const RUNTIME = "io.containerd.urunc.v2";

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
