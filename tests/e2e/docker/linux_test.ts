/** A Linux guest on docker's bridge: the network both ways, and nothing that outlives it. */
import assert from "node:assert/strict";
import { debianKernel, makeLinuxInitrd } from "../../support/fixtures.ts";
import { isAlive } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import {
  AS_NOBODY,
  assertIdentity,
  logsWith,
  NEEDS,
  startWithUrunc,
  uruncJson,
} from "./_common.ts";

testIf("docker with urunc: a Linux guest under tcg answers the host's ping on docker's bridge", {
  needs: [...NEEDS, "busybox", "cpio", "apt-get"],
  timeoutSeconds: 300,
}, async () => {
  await using scope = new Scope();
  const it = await startWithUrunc(scope);
  const { docker, inspect, onHost } = it;
  const initrd = await makeLinuxInitrd({
    line: "the guest is up",
    http: "served by the guest",
    // The other direction: the bridge's own address.
    script: "ping -c 1 -W 5 10.88.3.1 | grep -o '1 packets received'",
  });
  scope.defer("remove the initrd", () => initrd.cleanup());
  await it.makeImage("linux", [
    { path: "/unikernel/vmlinuz", source: await debianKernel() },
    { path: "/unikernel/initrd", source: initrd.path },
    {
      path: "/urunc.json",
      content: uruncJson({
        unikernelType: "linux",
        hypervisor: "qemu",
        binary: "/unikernel/vmlinuz",
        initrd: "/unikernel/initrd",
        accelerator: "tcg",
      }),
    },
  ]);

  const id = (await docker([
    "run",
    "--detach",
    "--runtime=urunc",
    "--hostname=penguin",
    ...AS_NOBODY,
    "linux",
    "/init",
  ], { check: true })).stdout.trim();
  const logs = await logsWith(it, id, "the guest is up");
  assert.match(logs, /1 packets received/);

  const { State, NetworkSettings } = await inspect(id);
  await assertIdentity(it, id, State.Pid);
  const address = NetworkSettings.IPAddress;
  await onHost(["ping", "-c", "3", "-W", "10", address], { check: true });
  const page = await onHost(["busybox", "wget", "-q", "-O", "-", `http://${address}/`], {
    check: true,
  });
  assert.equal(page.stdout, "served by the guest");
  // Longer than a frame: it goes in fragments, and all of them come back.
  await onHost(["ping", "-c", "1", "-W", "10", "-s", "4000", address], { check: true });

  await docker(["stop", "--time=10", id], { check: true });
  assert.ok(!isAlive(State.Pid));
  await docker(["rm", id], { check: true });
  const links = (await onHost(["ip", "-o", "link"])).stdout.trim().split("\n");
  assert.deepEqual(links.map((line) => line.split(":")[1]?.trim()), ["lo", "docker0"]);
});
