/** The firmware that a guest starts in is the one that its family needs. */
import assert from "node:assert/strict";
import { multibootGuestKernel } from "../support/fixtures.ts";
import { Container } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { Namespace } from "./network_support.ts";

const needs = ["root", "qemu-system-x86_64", "ip", "tc"];

const SETUP = [
  "ip link add eth0 address 02:42:0a:58:03:07 type veth peer name p0",
  "ip address add 10.88.3.7/20 dev eth0",
  "ip link set p0 up",
  "ip link set eth0 up",
  "ip route add default via 10.88.0.1",
];

/** As in fixtures/guests/guest.c: 42 is the end of a guest that its firmware does not suit. */
const families = [
  {
    unikernelType: "unikraft",
    code: 0,
    prints: "RAM is followed by reserved memory\nnetwork card has an address\nMTU is not offered\n",
  },
  {
    unikernelType: "elf",
    code: 42,
    prints: "RAM is not followed by reserved memory\nnetwork card has no address\n",
  },
];

for (const { unikernelType, code, prints } of families) {
  testIf(`what a ${unikernelType} guest finds of its firmware`, { needs }, async () => {
    await using scope = new Scope();
    const namespace = await Namespace.make(scope);
    await namespace.setUp(...SETUP);
    const container = await Container.prepare(scope, {
      kernel: multibootGuestKernel,
      unikernelType,
      // Of Unikraft's arguments the first is replaced by the kernel's path.
      args: unikernelType === "unikraft" ? ["app", "firmware"] : ["firmware"],
      accelerator: "tcg",
      namespaces: [
        ...["pid", "ipc", "uts", "mount"].map((type) => ({ type })),
        { type: "network", path: `/run/netns/${namespace.name}` },
      ],
    });
    const result = await container.run();
    assert.equal(result.stdout, prints, result.stderr);
    assert.equal(result.code, code);
  });
}
