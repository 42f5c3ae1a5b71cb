/** A pod of two networks, as containerd's CRI plugin attaches them: the guest is in both. */
import assert from "node:assert/strict";
import { linuxImage } from "../../support/guest_images.ts";
import { Pod } from "../../support/pod.ts";
import { waitFor } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { assertNothingLeft, LINUX, ORDINARY } from "./_common.ts";
import { CRI_NEEDS, missingPlugins, startWithCri } from "./_cri.ts";

const sh = (script: string) => ["/bin/busybox", "sh", "-c", script];
const LOOK = [
  "busybox ip -o -4 address | busybox sed 's/^[0-9]*: //'",
  "busybox ip route",
  "for net in 7 8; do busybox ping -c 1 -W 5 10.89.$net.1 >/dev/null && echo ping $net; done",
  "echo ready",
].join("\n");

testIf("CRI: a guest is in both networks of its pod, as its sidecar is", {
  needs: [...CRI_NEEDS, "qemu-system-x86_64", "busybox", "cpio", "apt-get"],
  skip: missingPlugins(),
  timeoutSeconds: 150,
}, async () => {
  await using scope = new Scope();
  const it = await startWithCri(scope, false, "kvm", 2);
  await it.makeImage(LINUX, await linuxImage(scope, "tcg", { moduleTree: true }, { agent: "on" }));
  const pod = await Pod.run(scope, it);
  const envs = [{ key: "PATH", value: "/bin" }];
  const serve = (answer: string, port: number) =>
    `while :; do echo ${answer} | busybox nc -l -p ${port}; done`;
  await pod.start("sidecar", {
    image: ORDINARY,
    envs,
    command: sh(`${LOOK}\n${serve("sidecar", 8001)}`),
  });
  const sidecar = await pod.logsWith("sidecar", "ready", 30);
  const id = await pod.start("guest", {
    image: LINUX,
    envs,
    command: sh(`${LOOK}\n${serve("guest", 8000)}`),
  });
  const guest = await pod.logsWith("guest", "ready", 60);
  // The plugins run side by side: either interface may be the first.
  for (const [position, net] of [7, 8].entries()) {
    assert.match(sidecar, new RegExp(`^eth${position} +inet 10\\.89\\.${net}\\.\\d+/24 `, "m"));
    assert.ok(sidecar.includes(`ping ${net}\n`), sidecar);
  }
  assert.equal(guest, sidecar);
  for (const address of sidecar.match(/10\.89\.[78]\.\d+(?=\/)/g)!) {
    if (address.endsWith(".0")) continue;
    for (const [port, answer] of [["8000", "guest"], ["8001", "sidecar"]] as const) {
      const ask = () => it.onHost(["busybox", "nc", "-w", "5", address, port]);
      await waitFor(async () => (await ask()).stdout === `${answer}\n`, {
        timeoutSeconds: 30,
        what: `${answer} at ${address}`,
      });
    }
  }
  await pod.stopAndRemove(id, 0);
  await pod.remove();
  await assertNothingLeft(it);
});
