/**
 * lib/network against the kernel, each test in network namespaces of its own: `ip` and `tc` of
 * iproute2 set them up and look at them from outside, network_child.ts makes the calls.
 */
import assert from "node:assert/strict";
import { readProcessStat } from "../../lib/os/process.ts";
import { TAP_NAME } from "../../lib/network/names.ts";
import type { NetworkFacts } from "../../lib/network/types.ts";
import { run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import type { Call } from "./network_child.ts";
import {
  as,
  connect,
  ENDED,
  makeGuest,
  makePair,
  MONITOR,
  Namespace,
  needs,
  startAndWait,
  TRANSFER,
} from "./network_support.ts";

const discoveries: {
  what: string;
  setUp: string[];
  expected: Partial<NetworkFacts> | undefined;
}[] = [
  { what: "only loopback", setUp: ["ip link set lo up"], expected: undefined },
  {
    what: "an interface that is down",
    setUp: ["ip link add eth0 type veth peer name p0", "ip address add 10.0.0.2/24 dev eth0"],
    expected: undefined,
  },
  {
    what: "a /20 with a gateway, MTU and MAC",
    setUp: [
      "ip link add eth0 address 02:42:0a:58:03:07 mtu 1450 type veth peer name p0",
      "ip address add 10.88.3.7/20 dev eth0",
      "ip link set p0 up",
      "ip link set eth0 up",
      "ip route add default via 10.88.0.1",
    ],
    expected: {
      name: "eth0",
      mac: "02:42:0a:58:03:07",
      mtu: 1450,
      addresses: [{ family: "inet", address: "10.88.3.7", prefixLength: 20 }],
      gateway: { inet: "10.88.0.1" },
    },
  },
  {
    what: "a /32 with a gateway on the link",
    setUp: [
      "ip link add net1 type veth peer name p0",
      "ip address add 192.168.7.9/32 dev net1",
      "ip link set p0 up",
      "ip link set net1 up",
      "ip route add default via 169.254.1.1 dev net1 onlink",
    ],
    expected: {
      name: "net1",
      addresses: [{ family: "inet", address: "192.168.7.9", prefixLength: 32 }],
      gateway: { inet: "169.254.1.1" },
    },
  },
  {
    what: "three interfaces with metrics, both families, several addresses",
    setUp: [
      "ip link add a0 type veth peer name pa",
      "ip link add b0 type veth peer name pb",
      "ip link add c0 type veth peer name pc",
      "ip address add 10.1.0.2/24 dev a0",
      "ip address add 10.2.0.2/24 dev b0",
      "ip address add 10.2.0.3/24 dev b0",
      "ip address add 10.2.9.4 peer 10.2.9.5/30 dev b0",
      "ip address add fd00:2::2/64 dev b0 nodad",
      "ip address add 10.3.0.2/24 dev c0",
      "ip address add fd00:3::2/64 dev c0 nodad",
      ...["a0", "b0", "c0", "pa", "pb", "pc"].map((name) => `ip link set ${name} up`),
      "ip route add default via 10.1.0.1 metric 300",
      "ip route add default via 10.2.0.9 metric 250",
      "ip route add default via 10.2.0.1 metric 200",
      "ip route add default via 10.3.0.1 dev c0 table 77",
      "ip route add default via fd00:3::1 metric 1",
      "ip route add default via fd00:2::1 metric 9",
    ],
    expected: {
      name: "b0",
      addresses: [
        { family: "inet", address: "10.2.0.2", prefixLength: 24 },
        { family: "inet", address: "10.2.9.4", prefixLength: 30 },
        { family: "inet", address: "10.2.0.3", prefixLength: 24 },
        { family: "inet6", address: "fd00:2::2", prefixLength: 64 },
      ],
      gateway: { inet: "10.2.0.1", inet6: "fd00:2::1" },
      others: ["a0", "c0"].map((name) => ({
        name,
        reason: "it is on another interface of the container",
      })),
    },
  },
  {
    what: "a bridge and its port",
    setUp: [
      "ip link add br0 type bridge",
      "ip link add a0 type veth peer name pa",
      "ip link set a0 master br0",
      "ip address add 10.5.0.2/24 dev br0",
      "ip address add 10.6.0.2/24 dev a0",
      ...["br0", "a0", "pa"].map((name) => `ip link set ${name} up`),
      "ip route add default via 10.5.0.1",
    ],
    expected: {
      name: "br0",
      further: undefined,
      others: [{ name: "a0", reason: "it is a port of a bridge or bond" }],
    },
  },
  {
    what: "IPv6 only, by a link-local gateway",
    setUp: [
      "ip link add eth0 type veth peer name p0",
      "ip address add fd00:88::7/64 dev eth0 nodad",
      "ip link set p0 up",
      "ip link set eth0 up",
      "ip -6 route add default via fe80::1 dev eth0",
    ],
    expected: {
      name: "eth0",
      addresses: [{ family: "inet6", address: "fd00:88::7", prefixLength: 64 }],
      gateway: { inet6: "fe80::1" },
    },
  },
  {
    what: "a default route of several paths",
    setUp: [
      "ip link add eth0 type veth peer name p0",
      "ip address add 10.4.0.2/24 dev eth0",
      "ip link set p0 up",
      "ip link set eth0 up",
      "ip route add default nexthop via 10.4.0.8 dev eth0 nexthop via 10.4.0.9 dev eth0",
    ],
    expected: { name: "eth0", gateway: { inet: "10.4.0.8" } },
  },
  {
    what: "one addressed interface without a route",
    setUp: [
      "ip link add eth0 type veth peer name p0",
      "ip address add 10.0.0.2/24 dev eth0",
      "ip link set p0 up",
      "ip link set eth0 up",
    ],
    expected: {
      name: "eth0",
      addresses: [{ family: "inet", address: "10.0.0.2", prefixLength: 24 }],
      gateway: undefined,
    },
  },
];

for (const { what, setUp, expected } of discoveries) {
  testIf(`readNetwork: ${what}`, { needs }, async () => {
    await using scope = new Scope();
    const namespace = await Namespace.make(scope);
    await namespace.setUp(...setUp);
    const [facts] = await namespace.succeed(["readNetwork"]) as [NetworkFacts | undefined];
    if (expected === undefined) return assert.equal(facts, undefined);
    const wanted = Object.keys(expected) as (keyof NetworkFacts)[];
    assert.deepEqual(Object.fromEntries(wanted.map((key) => [key, facts?.[key]])), expected);
    const shown = await namespace.look(`ip -o link show ${facts!.name}`);
    assert.match(
      shown,
      new RegExp(`^${facts!.index}: ${facts!.name}(@\\S+)?: .* mtu ${facts!.mtu} `),
    );
    assert.ok(shown.includes(`link/ether ${facts!.mac} `));
  });
}

testIf("readNetwork: who filters what comes in by an interface", { needs }, async () => {
  await using scope = new Scope();
  const { container, host } = await makePair(scope);
  for (const name of ["net1", "net2", "net3", "net4"]) {
    await container.setUp(
      `ip link add ${name} type veth peer name p-${name} netns ${host.name}`,
      `ip address add 10.7.${name.at(-1)}.2/24 dev ${name}`,
      `ip link set ${name} up`,
    );
  }
  await container.setUp(
    "tc qdisc add dev net1 clsact",
    "tc qdisc add dev net2 ingress",
    "tc filter add dev net2 ingress protocol ip prio 7 u32 match u32 0 0 action mirred egress mirror dev lo",
    "tc qdisc add dev net3 ingress",
  );
  await container.succeed(["redirectIngress", { from: "net4", to: "net3" }]);
  const [facts] = await container.succeed(["readNetwork"]) as [NetworkFacts];
  assert.equal(facts.name, "eth0");
  // An empty one is in nobody's use.
  assert.deepEqual(facts.further?.map(({ name }) => name), ["net3", "net4"]);
  assert.deepEqual(
    facts.others,
    [["net1", "qdisc clsact"], ["net2", "u32 of priority 7"]].map(([name, by]) => ({
      name,
      reason: `another program filters its incoming packets (${by})`,
    })),
  );
  assert.deepEqual(facts.redirected, ["net4"]);
});

testIf("createTap makes a persistent tap of the given owner and MTU", { needs }, async () => {
  await using scope = new Scope();
  const namespace = await Namespace.make(scope);
  const values = await namespace.succeed(
    ["tapExists", TAP_NAME],
    ["createTap", { ...MONITOR, gid: 1234, mtu: 1450 }],
    ["tapExists", TAP_NAME],
    ["linkUp", TAP_NAME],
  );
  assert.deepEqual(values, [false, undefined, true, undefined]);
  const link = await namespace.look(`ip -d link show ${TAP_NAME}`);
  assert.match(link, /tun type tap pi off vnet_hdr on persist on user nobody group 1234 /);
  assert.match(link, /<[A-Z,-]*UP[,>].* mtu 1450 .*addrgenmode none/s);
  assert.equal(await namespace.look(`ip -6 address show dev ${TAP_NAME}`), "");
});

testIf("createTap refuses a name that is taken, and leaves it alone", { needs }, async () => {
  await using scope = new Scope();
  const namespace = await Namespace.make(scope);
  await namespace.setUp("ip link add eth0 type veth peer name p0");
  const [veth, first, second] = await namespace.call([
    ["createTap", { ...MONITOR, name: "eth0" }],
    ["createTap", MONITOR],
    ["createTap", { ...MONITOR, uid: 1 }],
  ]);
  assert.match(veth?.error ?? "", /^AlreadyExistsError: create tap eth0: /);
  assert.equal(first?.error, undefined);
  assert.match(second?.error ?? "", /^AlreadyExistsError: create tap tap0_urunc: /);
  assert.match(await namespace.look(`ip -d link show ${TAP_NAME}`), / user nobody /);
});

testIf("createTap leaves no tap behind when it fails", { needs }, async () => {
  await using scope = new Scope();
  const namespace = await Namespace.make(scope);
  const before = await namespace.snapshot();
  const [tooBig] = await namespace.call([["createTap", { ...MONITOR, mtu: 70_000 }]]);
  assert.equal(tooBig?.code, "EINVAL");
  assert.match(tooBig?.error ?? "", /set MTU 70000 on interface tap0_urunc: .*maximum/);
  assert.equal(await namespace.snapshot(), before);
});

testIf("a link that is missing is named", { needs }, async () => {
  await using scope = new Scope();
  const namespace = await Namespace.make(scope);
  const outcomes = await namespace.call([
    ["linkUp", "eth7"],
    ["setMtu", "eth7", 1400],
    ["redirectIngress", { from: "eth7", to: "lo" }],
    ["redirectIngress", { from: "lo", to: "eth7" }],
  ]);
  for (const { error, code } of outcomes) {
    assert.equal(code, "ENODEV");
    assert.match(error ?? "", /find interface eth7/);
  }
  assert.deepEqual(await namespace.succeed(["removeTap", "eth7"], ["removeIngress", "eth7"]), [
    false,
    false,
  ]);
  assert.doesNotMatch(await namespace.look("tc qdisc show dev lo"), /ingress/);
});

testIf("only the tap's owner attaches to it", { needs: [...needs, "gcc", "setpriv"] }, async () => {
  await using scope = new Scope();
  const namespace = await Namespace.make(scope);
  const { program, tun } = await makeGuest(scope);
  await namespace.succeed(["createTap", MONITOR]);
  const attach = async (uid: number, gid: number) => {
    const argv = namespace.command(...as(uid, gid, program, "hold", tun, TAP_NAME));
    return (await run(argv)).stdout.trim();
  };
  assert.equal(await attach(65534, 65534), "attached");
  assert.equal(await attach(1234, 65534), "attach: EPERM");
  assert.equal(await attach(1234, 1234), "attach: EPERM");
});

testIf("packets pass both ways, unseen by the namespace", {
  needs: [...needs, "gcc", "setpriv"],
}, async () => {
  await using scope = new Scope();
  const { container, host } = await makePair(scope);
  const { program, tun } = await makeGuest(scope);
  await container.succeed(...connect);

  for (const [from, to] of [["eth0", TAP_NAME], [TAP_NAME, "eth0"]]) {
    const filter = await container.look(`tc filter show dev ${from} ingress`);
    assert.match(filter, /^filter .*protocol all .*u32/);
    assert.match(filter, /match 00000000\/00000000 at 0/);
    assert.match(filter, new RegExp(`mirred \\(Egress Redirect to device ${to}\\) stolen`));
  }

  const ask = (address: string) => {
    const guest = [program, "arp", tun, TAP_NAME, "02:42:0a:09:00:02", "10.9.0.2", address];
    return run(container.command(...as(65534, 65534, ...guest)));
  };
  const mac = (await host.look("cat /sys/class/net/host0/address")).trim();
  assert.equal((await ask("10.9.0.1")).stdout, `reply from ${mac}\n`);
  // The namespace's own stack would answer for this one.
  assert.equal((await ask("10.9.0.2")).stdout, "no reply\n");
});

testIf("redirectIngress replaces what is ours and refuses what is not", { needs }, async () => {
  await using scope = new Scope();
  const { container } = await makePair(scope);
  const again: Call = ["redirectIngress", { from: "eth0", to: TAP_NAME }];
  await container.succeed(...connect, again);
  const filters = await container.look("tc filter show dev eth0 ingress");
  assert.equal(filters.match(/mirred/g)?.length, 1);

  // The tap of a killed container is gone, its redirection is not.
  await container.setUp(`ip link del ${TAP_NAME}`);
  await container.succeed(...connect);
  assert.match(
    await container.look("tc filter show dev eth0 ingress"),
    new RegExp(`to device ${TAP_NAME}`),
  );
  assert.deepEqual(await container.succeed(["removeIngress", "eth0"], ["removeIngress", "eth0"]), [
    true,
    false,
  ]);

  // An empty ingress qdisc is in nobody's use.
  await container.setUp("tc qdisc add dev eth0 ingress");
  await container.succeed(again, ["removeIngress", "eth0"]);

  for (const kind of ["ingress", "clsact"]) {
    await container.setUp(`tc qdisc add dev eth0 ${kind}`);
    if (kind === "ingress") {
      await container.setUp(
        "tc filter add dev eth0 ingress protocol ip u32 match u32 0 0 action mirred egress mirror dev lo",
      );
    }
    const before = await container.look("tc filter show dev eth0 ingress");
    const [refused, left] = await container.call([again, ["removeIngress", "eth0"]]);
    assert.match(refused?.error ?? "", /^HostError: redirect .* eth0: another program filters/);
    assert.equal(left?.value, false);
    assert.equal(await container.look("tc filter show dev eth0 ingress"), before);
    await container.setUp(`tc qdisc del dev eth0 ${kind}`);
  }
});

testIf("removeTap takes a stale tap, and not one in use", {
  needs: [...needs, "gcc", "setpriv"],
}, async () => {
  await using scope = new Scope();
  const { container } = await makePair(scope);
  const { program, tun } = await makeGuest(scope);
  const living = { pid: Deno.pid, startTime: readProcessStat(Deno.pid)!.startTime };
  await container.succeed(["createTap", { ...MONITOR, owner: living }], ...connect.slice(1));

  const hold = as(65534, 65534, program, "hold", tun, TAP_NAME);
  const monitor = await startAndWait(scope, container.command(...hold), "attached");

  const [refused, exists] = await container.call([["removeTap", TAP_NAME], [
    "tapExists",
    TAP_NAME,
  ]]);
  assert.match(refused?.error ?? "", /^WrongStateError: remove tap tap0_urunc: EBUSY/);
  assert.equal(exists?.value, true);

  await monitor.end();
  assert.deepEqual(
    await container.succeed(["removeTap", TAP_NAME], ["removeTap", TAP_NAME], ...connect),
    [true, false, undefined, undefined, undefined, undefined],
  );
});

testIf("removeTap removes a tap whose owner has exited, even when it is held", {
  needs: [...needs, "gcc", "setpriv"],
}, async () => {
  await using scope = new Scope();
  const namespace = await Namespace.make(scope);
  const before = await namespace.snapshot();
  const { program, tun } = await makeGuest(scope);
  const hold = as(65534, 65534, program, "hold", tun, TAP_NAME);
  for (const remove of [["removeTap", TAP_NAME], ["removeStaleTap", TAP_NAME, ENDED]] as Call[]) {
    await namespace.succeed(["createTap", MONITOR]);
    const holder = await startAndWait(scope, namespace.command(...hold), "attached");
    await namespace.succeed(remove);
    assert.equal(await namespace.snapshot(), before);
    await holder.end();
  }
  // Whose it was is unknown.
  await namespace.setUp(`ip tuntap add ${TAP_NAME} mode tap user 65534 group 65534 vnet_hdr`);
  await startAndWait(scope, namespace.command(...hold), "attached");
  const [refused] = await namespace.call([["removeTap", TAP_NAME]]);
  assert.match(refused?.error ?? "", /^WrongStateError: remove tap tap0_urunc: EBUSY/);
});

testIf("removeTap rejects an interface that is not our tap", { needs }, async () => {
  await using scope = new Scope();
  const namespace = await Namespace.make(scope);
  await namespace.setUp("ip link add eth0 type veth peer name p0", "ip tuntap add tun3 mode tun");
  const before = await namespace.snapshot();
  for (const { error } of await namespace.call([["removeTap", "eth0"], ["removeTap", "tun3"]])) {
    assert.match(error ?? "", /^HostError: remove tap .* EINVAL: .*not a single-queue tap/);
  }
  assert.equal(await namespace.snapshot(), before);
});

testIf("a tap is its container's from the moment it is made", { needs }, async () => {
  await using scope = new Scope();
  const namespace = await Namespace.make(scope);
  const living = { pid: Deno.pid, startTime: readProcessStat(Deno.pid)!.startTime };
  await namespace.succeed(["createTap", { ...MONITOR, owner: living }]);
  const before = await namespace.snapshot();
  const [refused, own, unknown, other] = await namespace.call([
    ["removeStaleTap", TAP_NAME],
    ["isTapOfAnother", TAP_NAME, living],
    ["isTapOfAnother", TAP_NAME],
    ["isTapOfAnother", TAP_NAME, ENDED],
  ]);
  assert.match(
    refused?.error ?? "",
    new RegExp(
      `^WrongStateError: create tap tap0_urunc: .*process ${Deno.pid}.*only one container`,
    ),
  );
  assert.deepEqual([own?.value, unknown?.value, other?.value], [false, true, true]);
  assert.equal(await namespace.snapshot(), before);

  // Of one that has ended it is stale for the next, and not another's while the owner is unknown.
  assert.deepEqual(
    await namespace.succeed(
      ["removeTap", TAP_NAME],
      ["createTap", MONITOR],
      ["isTapOfAnother", TAP_NAME, living],
      ["isTapOfAnother", TAP_NAME],
      ["removeStaleTap", TAP_NAME, ENDED],
      ["tapExists", TAP_NAME],
    ),
    [true, undefined, true, false, undefined, false],
  );
  // Without an owner, as an earlier urunc made it, it is anyone's.
  await namespace.setUp(`ip tuntap add ${TAP_NAME} mode tap vnet_hdr`);
  assert.deepEqual(
    await namespace.succeed(["isTapOfAnother", TAP_NAME, living], ["removeStaleTap", TAP_NAME]),
    [false, undefined],
  );
});

testIf("50 containers leave a namespace as it was", { needs }, async () => {
  await using scope = new Scope();
  const { container } = await makePair(scope);
  const before = await container.snapshot();
  const outcomes = await container.call([
    ...connect,
    ["removeTap", TAP_NAME],
    ["removeIngress", "eth0"],
  ], 50);
  assert.deepEqual(outcomes.map(({ error, value }) => error ?? value), [
    undefined,
    undefined,
    undefined,
    undefined,
    true,
    true,
  ]);
  assert.equal(await container.snapshot(), before);
});

for (const headers of ["plain", "offload"]) {
  testIf(
    `TCP to a guest is whole both ways: ${headers}`,
    { needs: [...needs, "gcc"] },
    async () => {
      await using scope = new Scope();
      const { container, host } = await makePair(scope);
      const { program, tun } = await makeGuest(scope);
      await container.succeed(...connect);
      // The host's end hands over segments of up to 64 KiB without checksums. A monitor that asked for
      // no offloads must get them cut and summed.
      const features = await host.look("ip -d link show host0");
      assert.match(features, /gso_max_size 65536/);

      const guest = await Namespace.make(scope);
      const netns = `/run/netns/${guest.name}`;
      const relay = container.command(program, "relay", tun, TAP_NAME, netns, headers);
      await startAndWait(scope, relay, "attached");
      await guest.setUp(
        "ip link set guest0 address 02:42:0a:09:00:02",
        "ip address add 10.9.0.2/24 dev guest0",
        "ip link set guest0 up",
      );
      const deno = [Deno.execPath(), "run", "-A", "-q", "--unstable-net", "--no-lock", TRANSFER];
      await startAndWait(scope, host.command(...deno, "serve", "10.9.0.1"), "listening");
      const check = guest.command(...deno, "check", "10.9.0.1", String(4 << 20));
      assert.equal((await run(check, { check: true })).stdout, "same\n");

      // The tap counts what it carried: few large frames with offloads, many small ones without.
      const shown = JSON.parse(await container.look(`ip -j -s link show ${TAP_NAME}`));
      const { bytes, packets } = shown[0].stats64.tx;
      assert.ok(bytes > 4 << 20);
      const mean = bytes / packets;
      assert.ok(headers === "plain" ? mean <= 1514 : mean > 1514, `${mean} bytes a frame`);
    },
  );
}
