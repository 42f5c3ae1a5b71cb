/** Debian's docker with its defaults: systemd's cgroups, AppArmor, seccomp, the bridge. */
import assert from "node:assert/strict";
import { exists } from "../../../lib/os/files.ts";
import { monitorOf, readStatus, run } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { nodeDocker } from "./_docker.ts";
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

const needs = ["root", "kvm", "docker"];
const RUNTIME = "--runtime=urunc";
const CONFIGURATION = { directory: "/etc/urunc", path: "/etc/urunc/config.toml" };

testIf("docker: systemd makes the cgroups, version 2, AppArmor is on", { needs }, async () => {
  await using scope = new Scope();
  const { stdout } = await nodeDocker(scope).docker([
    "info",
    "--format",
    "{{.CgroupDriver}} {{.CgroupVersion}} {{.SecurityOptions}}",
  ], { check: true });
  assert.match(stdout, /^systemd 2 .*apparmor.*seccomp/);
});

testIf("docker: a guest on nested KVM prints its line and exits; one idles under systemd's scope", {
  needs,
  timeoutSeconds: 240,
}, async () => {
  await using scope = new Scope();
  const it = nodeDocker(scope);
  await makeGuestImage(it);
  const hello = ["hello", "Hello from docker", "0"];
  const result = await it.docker(["run", "--rm", RUNTIME, ...AS_NOBODY, "guest", ...hello]);
  assert.equal(result.stdout.replaceAll("\r", ""), "Hello from docker\n", result.stderr);
  assert.equal(result.code, 0, result.stderr);

  const limits = ["--memory=512m", "--pids-limit=200", "--cpus=0.75"];
  const guest = await startIdle(it, [RUNTIME, ...limits]);
  await assertUnprivileged(it, guest);
  const cgroup = cgroupOf(guest.pid);
  assert.equal(cgroup, `/system.slice/docker-${guest.id}.scope`);
  const limit = (name: string) => Deno.readTextFileSync(`/sys/fs/cgroup${cgroup}/${name}`).trim();
  assert.equal(limit("memory.max"), `${512 << 20}`);
  assert.equal(limit("pids.max"), "201", "the waiter is not counted");
  assert.equal(limit("cpu.max"), "75000 100000");
  await assertRemoved(it, guest);
});

/** Docker's bridges have no IPv6 by default. */
const DUAL = ["--ipv6", "--subnet=10.88.4.0/24", "--subnet=fd00:88:4::/64", "dual"];

/** IPv6 is there a little after the interface is. */
const AWAIT_IPV6 = "until ip -6 route | grep -q ^default; do sleep 0.1; done";

/** Its packets are moved by the kernel, by a descriptor: the node's device stays root's. */
async function useVhost(scope: Scope): Promise<void> {
  await run(["modprobe", "vhost_net"], { check: true });
  await Deno.mkdir(CONFIGURATION.directory, { recursive: true });
  await Deno.writeTextFile(CONFIGURATION.path, "[monitors.qemu]\nvhost = true\n");
  scope.defer("remove the configuration", () => Deno.remove(CONFIGURATION.path));
}

function assertUsesVhost(pid: number): void {
  const { rdev, uid } = Deno.statSync("/dev/vhost-net");
  const open = [...Deno.readDirSync(`/proc/${pid}/fd`)]
    .map(({ name }) => Deno.statSync(`/proc/${pid}/fd/${name}`));
  assert.equal(open.filter((it) => it.isCharDevice && it.rdev === rdev).length, 1);
  assert.ok(!exists(`/proc/${pid}/root/dev/vhost-net`), "no node in the monitor's root");
  assert.notEqual(uid, readStatus(pid).uids[0]);
  // Until the guest's driver has set the queues up QEMU moves them.
  const threads = [...Deno.readDirSync(`/proc/${pid}/task`)]
    .map(({ name }) => Deno.readTextFileSync(`/proc/${pid}/task/${name}/comm`).trim());
  assert.ok(threads.includes(`vhost-${pid}`), threads.join(" "));
}

testIf("docker: Debian's kernel on nested KVM as 65534, vhost-net, IPv4, IPv6, under AppArmor", {
  needs: [...needs, "busybox", "cpio"],
  timeoutSeconds: 360,
}, async () => {
  await using scope = new Scope();
  // After the container that is in it.
  scope.defer("remove the network", async () => {
    await run(["docker", "network", "prune", "--force"], { check: true });
  });
  const it = nodeDocker(scope);
  await useVhost(scope);
  await makeLinuxImage(scope, it, AWAIT_IPV6);
  await it.docker(["network", "create", ...DUAL], { check: true });
  const guest = await start(
    it,
    [RUNTIME, "--network=dual", "linux", "/init"],
    "the guest is up",
  );
  await assertUnprivileged(it, guest);
  assertUsesVhost(monitorOf(guest.pid));
  for (const pid of [guest.pid, monitorOf(guest.pid)]) {
    assert.equal(
      Deno.readTextFileSync(`/proc/${pid}/attr/apparmor/current`).trim(),
      "docker-default (enforce)",
    );
  }
  const { NetworkSettings } = await it.inspect(guest.id);
  const { IPAddress, GlobalIPv6Address } = NetworkSettings.Networks.dual!;
  assert.match(GlobalIPv6Address, /^fd00:88:4::/);
  for (const address of [IPAddress, GlobalIPv6Address]) await assertReachable(it, address);
  await assertRemoved(it, guest);
});
