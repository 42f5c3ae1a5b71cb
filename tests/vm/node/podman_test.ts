/** Debian's podman with its defaults: systemd's cgroups, netavark, conmon. */
import assert from "node:assert/strict";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { nodePodman } from "./_docker.ts";
import {
  AS_NOBODY,
  assertReachable,
  assertRemoved,
  assertUnprivileged,
  cgroupOf,
  makeGuestImage,
  makeLinuxImage,
  start,
  startIdle,
} from "./_guests.ts";

const needs = ["root", "kvm", "podman"];

testIf("podman: a guest on nested KVM prints its line and exits; one idles under systemd's scope", {
  needs,
  timeoutSeconds: 240,
}, async () => {
  await using scope = new Scope();
  const it = nodePodman(scope);
  await makeGuestImage(it);
  const hello = ["hello", "Hello from podman", "0"];
  const result = await it.docker(["run", "--rm", ...AS_NOBODY, "guest", ...hello]);
  assert.equal(result.stdout.replaceAll("\r", ""), "Hello from podman\n", result.stderr);
  assert.equal(result.code, 0, result.stderr);

  const guest = await startIdle(it, ["--memory=512m", "--pids-limit=200"]);
  await assertUnprivileged(it, guest);
  const cgroup = cgroupOf(guest.pid);
  assert.match(cgroup, new RegExp(`^/machine\\.slice/libpod-${guest.id}\\.scope`));
  const limit = (name: string) => Deno.readTextFileSync(`/sys/fs/cgroup${cgroup}/${name}`).trim();
  assert.equal(limit("memory.max"), `${512 << 20}`);
  assert.equal(limit("pids.max"), "201");
  await assertRemoved(it, guest);
});

testIf("podman: Debian's own kernel on nested KVM as 65534, reachable", {
  needs: [...needs, "busybox", "cpio"],
  timeoutSeconds: 360,
}, async () => {
  await using scope = new Scope();
  const it = nodePodman(scope);
  await makeLinuxImage(scope, it);
  const guest = await start(it, ["linux", "/init"], "the guest is up");
  await assertUnprivileged(it, guest);
  const { NetworkSettings } = await it.inspect(guest.id);
  await assertReachable(it, NetworkSettings.IPAddress);
  await assertRemoved(it, guest);
});
