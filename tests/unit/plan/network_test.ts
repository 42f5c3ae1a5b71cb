import assert from "node:assert/strict";
import { defaultConfiguration } from "../../../lib/config/parse.ts";
import { HostError } from "../../../lib/errors.ts";
import type { NetworkFacts } from "../../../lib/network/types.ts";
import { planLaunch } from "../../../lib/plan/launch.ts";
import type { LaunchInput } from "../../../lib/plan/launch_input.ts";
import { guestOf } from "../../../lib/guest/families/registry.ts";
import { factsOf, launchInputOf, NETWORK, specOf, stepsNamed } from "../../support/plan_inputs.ts";

const MIB = 1024 * 1024;

Deno.test("the interface of a joined namespace is shared, that of an own one is taken over", () => {
  const linkSteps = (
    network: Record<string, string>,
    filter: "addresses" | "off" = "addresses",
  ) => {
    const spec = specOf({
      linux: { namespaces: [{ type: "mount" }, { type: "network", ...network }] },
    });
    const configuration = { ...defaultConfiguration(), network_filter: filter };
    return planLaunch(launchInputOf({ spec, configuration, network: NETWORK })).plan.steps
      .filter(({ step }) => ["redirect", "share", "filter"].includes(step));
  };
  const addresses = NETWORK.addresses.map(({ address }) => address);
  const link = { from: "tap0_urunc", to: NETWORK.name };
  const back = { step: "filter", ...link, mac: NETWORK.mac, addresses };
  const there = { from: NETWORK.name, to: "tap0_urunc" };
  assert.deepEqual(linkSteps({}), [{ step: "redirect", ...there }, back]);
  assert.deepEqual(linkSteps({ path: "/run/netns/x" }), [{ step: "share", ...there }, back]);
  assert.deepEqual(linkSteps({}, "off"), [
    { step: "redirect", ...there },
    { step: "redirect", ...link },
  ]);
});

Deno.test("Knative's guest has a subnet with its pod, whose interface is left alone", () => {
  const spec = specOf({
    annotations: { "io.kubernetes.cri.container-name": "user-container" },
    linux: { namespaces: [{ type: "mount" }, { type: "network", path: "/run/netns/x" }] },
  });
  const knative = (network: typeof NETWORK) =>
    planLaunch(launchInputOf({ spec, network, guest: guestOf("unikraft") })).plan.steps;
  const steps = knative(NETWORK);
  const names = steps.map(({ step }) => step);
  assert.deepEqual(
    steps.slice(names.indexOf("linkUp"), names.indexOf("masquerade") + 1),
    [
      { step: "linkUp", name: "tap0_urunc" },
      { step: "giveAddress", name: "tap0_urunc", address: "172.16.1.1", prefixLength: 24 },
      { step: "forward", name: "tap0_urunc" },
      { step: "forward", name: NETWORK.name },
      { step: "masquerade", address: "172.16.1.1", prefixLength: 24, to: NETWORK.name },
    ],
  );
  assert.ok(!names.includes("share") && !names.includes("redirect"));
  assert.match(
    stepsNamed(steps, "startMonitor")[0]!.argv.join(" "),
    /172\.16\.1\.2\/24:172\.16\.1\.1/,
  );

  const inet6 = { family: "inet6", address: "fd00::2", prefixLength: 64 } as const;
  assert.throws(() => knative({ ...NETWORK, addresses: [inet6] }), /no IPv4 address/);
  const wide = { family: "inet", address: "172.20.0.9", prefixLength: 12 } as const;
  assert.throws(
    () => knative({ ...NETWORK, addresses: [inet6, wide] }),
    /172\.20\.0\.9\/12 overlaps/,
  );
});

/** Two networks of a container, of which the second has the default route. */
const NETWORKS: NetworkFacts = {
  ...NETWORK,
  name: "eth1",
  index: 9,
  further: [{
    name: "eth0",
    index: 7,
    mac: "02:42:ac:12:00:02",
    mtu: 1450,
    addresses: [
      { family: "inet", address: "172.18.0.2", prefixLength: 16 },
      { family: "inet6", address: "fd00:18::2", prefixLength: 64 },
    ],
    linkLocal: "fe80::42:acff:fe12:2",
    metric: { inet: 5 },
    gateway: { inet: "172.18.0.1" },
  }],
  others: [{ name: "wg0", reason: "it is not Ethernet" }],
};

/** A Linux guest in its RAM disk, which has an agent unless it says none. */
function linuxInput(changes: Partial<LaunchInput> = {}, agent?: "none"): LaunchInput {
  const size = 1_000_000;
  return launchInputOf({
    guest: guestOf("linux"),
    unikernel: {
      unikernelType: "linux",
      hypervisor: "qemu",
      binary: "/boot/vmlinuz",
      initrd: "/boot/initrd",
      accelerator: "tcg",
      agent,
    },
    facts: factsOf({
      initrd: { path: "/boot/initrd", size, uid: 0, gid: 0, mode: 0o644, isInitramfs: true },
    }),
    network: NETWORKS,
    ...changes,
  });
}

Deno.test("a guest with an agent has every interface of its container, each with a tap of its own", () => {
  const { plan, warnings, memoryBytes, usesNetwork } = planLaunch(linuxInput());
  const { steps } = plan;
  assert.equal(usesNetwork, true);
  assert.deepEqual(stepsNamed(steps, "removeStaleTap").map(({ name }) => name), [
    "tap0_urunc",
    "tap1_urunc",
  ]);
  assert.deepEqual(stepsNamed(steps, "createTap").map(({ name, mtu }) => [name, mtu]), [
    ["tap0_urunc", 1500],
    ["tap1_urunc", 1450],
  ]);
  assert.deepEqual(stepsNamed(steps, "redirect"), [
    { step: "redirect", from: "eth1", to: "tap0_urunc" },
    { step: "redirect", from: "eth0", to: "tap1_urunc" },
  ]);
  // Each lets out what is its own, and nothing that is the other's.
  assert.deepEqual(stepsNamed(steps, "filter"), [
    {
      ...{ step: "filter", from: "tap0_urunc", to: "eth1", mac: NETWORK.mac },
      addresses: ["172.17.0.2"],
    },
    {
      ...{ step: "filter", from: "tap1_urunc", to: "eth0", mac: "02:42:ac:12:00:02" },
      addresses: ["172.18.0.2", "fd00:18::2", "fe80::42:acff:fe12:2"],
    },
  ]);
  // By descriptors, of which the monitor's arguments speak in the order of the interfaces.
  const opened = stepsNamed(steps, "attachTap");
  assert.deepEqual(opened.map(({ tap }) => tap), ["tap0_urunc", "tap1_urunc"]);
  const { argv, fds } = stepsNamed(steps, "startMonitor")[0]!;
  const [first, second] = opened.map(({ name }) => fds.find((it) => it.name === name)!.fd);
  const given = argv.filter((it) => /^tap,|^virtio-net/.test(it));
  assert.deepEqual(given.map((it) => it.replace(",romfile=", "")), [
    `tap,id=net0,fd=${second}`,
    "virtio-net-pci,netdev=net0,mac=02:42:ac:12:00:02,host_mtu=1450",
    `tap,id=net1,fd=${first}`,
    `virtio-net-pci,netdev=net1,mac=${NETWORK.mac},host_mtu=1500`,
  ]);
  const { prepend } = stepsNamed(steps, "copyImageFile").find((it) => it.prepend !== undefined)!;
  assert.deepEqual([prepend!.network!, ...prepend!.furtherNetworks!].map((it) => it.name), [
    "eth1",
    "eth0",
  ]);
  assert.deepEqual(prepend!.furtherNetworks![0]!.ipv4, {
    ...{ address: "172.18.0.2", prefixLength: 16, gateway: "172.18.0.1", metric: 5 },
  });
  assert.deepEqual(warnings, [
    "the guest has eth1, eth0 and no other interface; not connected: wg0 (it is not Ethernet)",
  ]);
  const one = planLaunch(linuxInput({ network: { ...NETWORKS, further: undefined } }));
  // With what is written of it in the RAM disk.
  assert.equal(Math.floor((memoryBytes - one.memoryBytes) / MIB), 1);
});

Deno.test("vhost-net is a descriptor for each interface, and its calls are allowed", () => {
  const vhostNet = {
    ...{ path: "/dev/vhost-net", type: "char", major: 10, minor: 238 } as const,
    ...{ uid: 0, gid: 108, mode: 0o660 },
  };
  const configuration = {
    ...linuxInput({}).configuration,
    monitors: { qemu: { capabilities: [], data_paths: [], vhost: true } },
  };
  const facts = { ...linuxInput({}).facts, vhostNet };
  const given = { network: NETWORKS, configuration };
  const { plan: { steps }, processes } = planLaunch(linuxInput({ ...given, facts }));
  const { argv, fds } = stepsNamed(steps, "startMonitor")[0]!;
  const number = (name: string) => fds.find((it) => it.name === name)!.fd;
  assert.deepEqual(argv.filter((it) => it.startsWith("tap,")), [
    `tap,id=net0,fd=${number("tap 1")},vhost=on,vhostfd=${number("vhost 1")}`,
    `tap,id=net1,fd=${number("tap")},vhost=on,vhostfd=${number("vhost")}`,
  ]);
  const opened = stepsNamed(steps, "openDevice").filter(({ minor }) => minor === 238);
  assert.deepEqual(opened.map(({ name, access }) => [name, access]), [["vhost", "rw"], [
    "vhost 1",
    "rw",
  ]]);
  const nodes = stepsNamed(steps, "mknod").map(({ minor }) => minor);
  assert.ok(!nodes.includes(238), "no node of it");
  const { filter } = stepsNamed(steps, "openFilter").find(({ name }) => name === "monitorFilter")!;
  assert.ok(filter.features.includes("vhost"));
  const without = planLaunch(linuxInput({ network: NETWORKS })).processes;
  assert.equal(processes.needed - without.needed, 2);
  assert.throws(
    () => planLaunch(linuxInput(given)),
    /no \/dev\/vhost-net on this machine \(load the kernel module: modprobe vhost_net;/,
  );
});

Deno.test("a limit must have room for what each interface takes of guest and monitor", () => {
  const neededMiB = (further: NetworkFacts["further"]) => {
    const linux = {
      namespaces: [{ type: "mount" }, { type: "network" }],
      resources: { memory: { limit: 8 * MIB } },
    };
    try {
      planLaunch(linuxInput({ spec: specOf({ linux }), network: { ...NETWORKS, further } }));
    } catch (error) {
      return Number(/limit of at least (\d+) MiB/.exec((error as HostError).message)?.[1]);
    }
  };
  const one = neededMiB(undefined)!;
  assert.ok(one > 8);
  const further = Array.from({ length: 4 }, () => NETWORKS.further![0]!);
  // 4 times 1 and 2.75 MiB; and what QEMU takes for a guest that is larger by that.
  assert.equal(neededMiB(further), one + 17);
});

Deno.test("in a pod a guest with an agent shares every interface", () => {
  const spec = specOf({
    linux: { namespaces: [{ type: "mount" }, { type: "network", path: "/run/netns/x" }] },
  });
  const { steps } = planLaunch(linuxInput({ spec })).plan;
  assert.deepEqual(stepsNamed(steps, "share"), [
    { step: "share", from: "eth1", to: "tap0_urunc" },
    { step: "share", from: "eth0", to: "tap1_urunc" },
  ]);
  assert.deepEqual(stepsNamed(steps, "redirect"), []);
});

const oneInterface: [what: string, input: LaunchInput][] = [
  ["without an agent", linuxInput({}, "none")],
  ["of another kind", launchInputOf({ network: NETWORKS })],
  [
    "of Knative's",
    linuxInput({
      spec: specOf({
        annotations: { "io.kubernetes.cri.container-name": "user-container" },
        linux: { namespaces: [{ type: "mount" }, { type: "network", path: "/run/netns/x" }] },
      }),
    }),
  ],
];
for (const [what, input] of oneInterface) {
  Deno.test(`a guest ${what} has the first interface, and a warning names the others`, () => {
    const { plan, warnings } = planLaunch(input);
    assert.deepEqual(stepsNamed(plan.steps, "createTap").map(({ name }) => name), ["tap0_urunc"]);
    assert.equal(stepsNamed(plan.steps, "attachTap").length, 1);
    assert.deepEqual(warnings.filter((it) => it.includes("interface")), [
      "the guest has eth1 and no other interface; not connected: eth0, wg0",
    ]);
  });
}

Deno.test("where no interface is the first, an agent has all, and another guest none", () => {
  const network: NetworkFacts = { ...NETWORKS, others: undefined, isAmbiguous: true };
  const all = planLaunch(linuxInput({ network }));
  assert.equal(stepsNamed(all.plan.steps, "createTap").length, 2);
  assert.deepEqual(all.warnings, []);
  const none = planLaunch(linuxInput({ network }, "none"));
  assert.deepEqual(stepsNamed(none.plan.steps, "createTap"), []);
  assert.equal(none.usesNetwork, false);
  assert.match(none.warnings.join("\n"), /no interface of the container has the default route/);
});

Deno.test("taps of an earlier guest that had more go as well", () => {
  const owner = { pid: 7, startTime: "8" };
  const taps = [{ name: "tap0_urunc", owner }, { name: "tap2_urunc", owner }];
  const { steps } = planLaunch(launchInputOf({ network: { ...NETWORK, taps } })).plan;
  assert.deepEqual(stepsNamed(steps, "removeStaleTap"), [
    { step: "removeStaleTap", name: "tap0_urunc", owner },
    { step: "removeStaleTap", name: "tap2_urunc", owner },
  ]);
});

Deno.test("redirections of an earlier guest go after its taps, whatever this one takes over", () => {
  const network = { ...NETWORK, redirected: ["eth0", "net1"] };
  const { steps } = planLaunch(launchInputOf({ network })).plan;
  assert.deepEqual(stepsNamed(steps, "removeIngress").map(({ from }) => from), ["eth0", "net1"]);
  const names = steps.map(({ step }) => step);
  const [tap, ingress] = [names.lastIndexOf("removeStaleTap"), names.indexOf("removeIngress")];
  assert.ok(tap >= 0 && tap < ingress, "a guest that lives is found by its tap before");
  assert.ok(names.lastIndexOf("removeIngress") < names.indexOf("createTap"));
});
