/** A Linux guest of two networks, as podman connects it, beside an ordinary container of the same. */
import assert from "node:assert/strict";
import { busyboxFiles } from "../../support/docker.ts";
import { linuxImage } from "../../support/guest_images.ts";
import { PODMAN_NEEDS, startPodman } from "../../support/podman.ts";
import { waitFor } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { uruncBinary } from "../../support/urunc.ts";

const SUBNETS = { front: "10.90.8", back: "10.90.9" };
const NAMES = ["front", "back"] as const;
const LOOK = [
  "busybox ip -o -4 address | busybox sed 's/^[0-9]*: //'",
  "busybox ip route",
  ...NAMES.map((name) =>
    `busybox ping -c 1 -W 5 ${SUBNETS[name]}.1 >/dev/null && echo ping ${name}`
  ),
  "echo ready",
  "while :; do echo guest | busybox nc -l -p 8000; done",
].join("\n");

testIf("podman: a guest is in both networks of its container", {
  needs: [...PODMAN_NEEDS, "qemu-system-x86_64", "busybox", "cpio", "apt-get", "nft"],
  timeoutSeconds: 240,
}, async () => {
  await using scope = new Scope();
  const it = await startPodman(scope, await uruncBinary());
  const { podman } = it;
  const must = (...args: string[]) => podman(args, { check: true });
  await it.makeImage("linux", await linuxImage(scope, "tcg", { moduleTree: true }));
  await it.makeImage("ordinary", busyboxFiles());
  for (const name of NAMES) {
    await must(
      ...["network", "create", "--disable-dns", `--subnet=${SUBNETS[name]}.0/24`, name],
    );
    scope.defer(`remove ${name}`, () => podman(["network", "rm", "--force", name]));
  }
  const outputs: string[] = [];
  for (const runtime of ["runc", await uruncBinary()]) {
    const [, cgroup] = it.runArguments([]);
    await must(
      ...["--runtime", runtime, "run", "--detach", "--name=it", cgroup!, "--env=PATH=/bin"],
      "--cap-add=NET_RAW",
      // By their names, which podman gives in any order otherwise.
      ...NAMES.map((name, index) =>
        `--network=${name}:ip=${SUBNETS[name]}.5,interface_name=eth${index}`
      ),
      ...[runtime === "runc" ? "ordinary" : "linux", "/bin/busybox", "sh", "-c", LOOK],
    );
    const output = await waitFor(async () => {
      const { stdout, stderr } = await podman(["logs", "it"]);
      return stdout.includes("ready\n") ? stdout : void stderr;
    }, { timeoutSeconds: 60, what: `${runtime} to be ready` });
    for (const name of NAMES) {
      const asked = () =>
        podman([
          "--runtime=runc",
          "run",
          "--rm",
          cgroup!,
          `--network=${name}`,
          "ordinary",
          "/bin/busybox",
          "nc",
          "-w",
          "5",
          `${SUBNETS[name]}.5`,
          "8000",
        ]);
      await waitFor(async () => (await asked()).stdout === "guest\n", {
        timeoutSeconds: 30,
        what: `an answer of ${runtime} in ${name}`,
      });
    }
    await must("rm", "--force", "--time=0", "it");
    outputs.push(output);
  }
  assert.match(outputs[0]!, /ping front\nping back\n/);
  // It adds them, and with them their routes, in any order.
  const [ordinary, guest] = outputs.map((it) => it.split("\n").sort());
  assert.deepEqual(guest, ordinary);
});
