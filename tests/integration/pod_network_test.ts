/** Several containers in one network namespace, as in a pod: the monitor is the test double. */
import assert from "node:assert/strict";
import { TAP_NAME } from "../../lib/network/names.ts";
import { doubleBinary } from "../support/double.ts";
import { run } from "../support/process.ts";
import {
  assertFailed,
  assertNothingLeft,
  assertSucceeded,
  type Container,
  doubleContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import {
  connect,
  makeGuest,
  makePair,
  Namespace,
  startAndWait,
  TRANSFER,
} from "./network_support.ts";

const NEEDS = ["root", "gcc", "ip", "tc"];
const WITHOUT_NETFILTER = new URL("without_netfilter.c", import.meta.url).pathname;

/** A guest in a namespace that others may be in. */
async function guestIn(
  scope: Scope,
  namespace: Namespace,
  annotations: Record<string, string> = {},
  commands = "idle",
  configuration = 'accelerator = "tcg"',
): Promise<Container> {
  const types = ["pid", "ipc", "uts", "mount"].map((type) => ({ type }));
  return await doubleContainer(scope, commands, {
    configuration,
    edit: (config) => Object.assign(config.annotations as object, annotations),
    namespaces: [...types, { type: "network", path: `/run/netns/${namespace.name}` }],
  });
}

/** So that another can attach to it: the monitor's own descriptor is its first. */
const WITHOUT_TAP = "close 3; print closed; idle";

testIf("a second guest is refused, and the first keeps its network throughout", {
  needs: NEEDS,
  timeoutSeconds: 200,
}, async () => {
  await using scope = new Scope();
  const { container: namespace } = await makePair(scope);
  const before = await namespace.snapshot();
  const first = await guestIn(scope, namespace);
  const second = await guestIn(scope, namespace);

  const refused = async (when: string) => {
    const taken = await namespace.snapshot();
    assertFailed(await second.create(), [
      "tap0_urunc",
      "only one container with a guest can use a network namespace at a time",
    ]);
    assertNothingLeft(second);
    assert.equal(await namespace.snapshot(), taken, `${when}: the refusal undoes what is its own`);
  };
  const pid = await first.mustCreate();
  await refused("created");
  assertSucceeded(await first.start());
  await refused("started");

  assertSucceeded(await first.delete("--force"));
  assertNothingLeft(first, pid);
  assert.equal(await namespace.snapshot(), before);
  await second.mustStart();
  assertSucceeded(await second.delete("--force"));
  assert.equal(await namespace.snapshot(), before);
});

/** Interfaces of a namespace, with an address each. */
function addInterfaces(namespace: Namespace, ...names: string[]): Promise<void> {
  return namespace.setUp(...names.flatMap((name, index) => [
    `ip link add ${name} type veth peer name p-${name}`,
    `ip address add 10.9.${index}.2/24 dev ${name}`,
    `ip link set p-${name} up`,
    `ip link set ${name} up`,
  ]));
}

testIf(
  "a guest's lack of an interface is said, whenever that is there",
  { needs: NEEDS },
  async () => {
    await using scope = new Scope();
    const [one, several, later] = await Promise.all(
      Array.from({ length: 3 }, () => Namespace.make(scope)),
    ) as [Namespace, Namespace, Namespace];
    const warningsOf = async (namespace: Namespace, between = () => Promise.resolve()) => {
      const container = await guestIn(scope, namespace);
      const created = await container.create();
      assertSucceeded(created);
      await between();
      const started = await container.start();
      assertSucceeded(started);
      return [created.stderr, started.stderr];
    };

    await addInterfaces(one, "eth0", "eth1", "eth2");
    await one.setUp("ip route add default via 10.9.1.1");
    const [oneSays] = await warningsOf(one);
    assert.match(oneSays!, /the guest has eth1 and no other interface; not connected: eth0, eth2/);

    await addInterfaces(several, "eth0", "eth1");
    const [severalSay, atStart] = await warningsOf(several);
    assert.match(severalSay!, /no interface of the container has the default route/);
    assert.equal(atStart, "");

    const arrival = () => addInterfaces(later, "eth0");
    const [nothing, late] = await warningsOf(later, arrival);
    assert.equal(nothing, "");
    assert.match(late!, /network was attached after it was created/);
  },
);

testIf("a guest that ended makes room, and its late deletion takes nothing away", {
  needs: NEEDS,
  timeoutSeconds: 200,
}, async () => {
  await using scope = new Scope();
  const { container: namespace } = await makePair(scope);
  const before = await namespace.snapshot();
  const first = await guestIn(scope, namespace);
  const second = await guestIn(scope, namespace);
  await first.mustStart();
  assertSucceeded(await first.kill("KILL"));
  await first.waitForStatus("stopped");

  await second.mustStart();
  const taken = await namespace.snapshot();
  assertSucceeded(await first.delete());
  assert.equal(await namespace.snapshot(), taken);
  assertSucceeded(await second.delete("--force"));
  assert.equal(await namespace.snapshot(), before);
});

/** As a process that got the monitor's own one, by a socket that the two share. */
async function holdTap(scope: Scope, pod: Namespace): Promise<void> {
  const { program, tun } = await makeGuest(scope);
  await startAndWait(scope, pod.command(program, "hold", tun, TAP_NAME), "attached");
}

/** What a container of the pod may do to the tap of another, whose monitor may help it. */
const TAMPERING: {
  name: string;
  tamper(scope: Scope, pod: Namespace): Promise<void>;
  /** What stays of it, as `ip` shows it. */
  stays?: string;
  /** What is reported of that. */
  warning?: RegExp;
  keepsRedirection?: true;
}[] = [
  {
    name: "a link in the tap's place",
    tamper: (_, pod) =>
      pod.setUp(`ip link del ${TAP_NAME}`, `ip link add ${TAP_NAME} type veth peer name p0`),
    stays: " veth ",
  },
  {
    name: "another tap in its place",
    tamper: (_, pod) =>
      pod.setUp(`ip link del ${TAP_NAME}`, `ip tuntap add ${TAP_NAME} mode tap multi_queue`),
    stays: " multi_queue ",
    warning: /level=warning .*remove network: remove tap tap0_urunc: EINVAL/,
  },
  { name: "a descriptor of the tap", tamper: holdTap },
  {
    name: "a descriptor of the tap, which does not tell its owner any more",
    tamper: async (scope, pod) => {
      await holdTap(scope, pod);
      await pod.setUp(`ip link set ${TAP_NAME} alias none`);
    },
    stays: " tun ",
    warning: /level=warning .*remove network: remove tap tap0_urunc: EBUSY/,
    keepsRedirection: true,
  },
];

for (const { name, tamper, stays, warning, keepsRedirection } of TAMPERING) {
  testIf(`a container whose pod-mate has ${name} can be deleted`, {
    needs: NEEDS,
    timeoutSeconds: 200,
  }, async () => {
    for (const force of [true, false]) {
      await using scope = new Scope();
      const { container: pod } = await makePair(scope);
      const container = await guestIn(scope, pod, {}, WITHOUT_TAP);
      const pid = await container.mustStart();
      await container.waitForOutput("closed");
      await tamper(scope, pod);
      if (!force) {
        assertSucceeded(await container.kill("KILL"));
        await container.waitForStatus("stopped");
      }
      const deleted = await container.delete(...(force ? ["--force"] : []));
      assertSucceeded(deleted);
      assertNothingLeft(container, pid);
      assert.match(deleted.stderr, warning ?? /^$/);
      const link = (await pod.look("ip -o -d link")).split("\n").find((it) =>
        it.includes(`: ${TAP_NAME}`)
      );
      if (stays === undefined) assert.equal(link, undefined);
      else assert.ok(link?.includes(stays), link);
      const filters = await pod.look("tc filter show dev eth0 ingress");
      assert.equal(filters !== "", keepsRedirection === true, filters);
    }
  });
}

const DENO = [Deno.execPath(), "run", "-A", "-q", "--unstable-net", "--no-lock", TRANSFER];
const ADDRESSES = { pod: ["10.9.0.2", "fd09::2"], host: ["10.9.0.1", "fd09::1"] };
/** More than one segment, and more than the 64 KiB of a veth's largest. */
const BYTES = 1 << 20;
const PORTS = { guest: "7001", sidecar: "7002", host: "7003" };

/** A pod whose guest is the network stack of another namespace, and the host. */
async function makePod(scope: Scope, share: "shareIngress" | "redirectIngress") {
  const { container: pod, host } = await makePair(scope);
  await host.setUp("ip address add fd09::1/64 dev host0 nodad");
  await pod.setUp("ip link set lo up", "ip address add fd09::2/64 dev eth0 nodad");
  await pod.succeed(
    ...connect.slice(0, 2),
    [share, { from: "eth0", to: TAP_NAME }],
    ["redirectIngress", { from: TAP_NAME, to: "eth0" }],
  );
  const { guest, monitor } = await attachGuest(scope, pod);
  await guest.setUp(
    "ip address add 10.9.0.2/24 dev guest0",
    "ip address add fd09::2/64 dev guest0 nodad",
    "ip link set guest0 up",
  );
  await serve(scope, { guest, sidecar: pod, host });
  return { pod, host, guest, monitor };
}

/** In the place of a monitor and its guest: the network stack of another namespace. */
async function attachGuest(scope: Scope, pod: Namespace) {
  const { program } = await makeGuest(scope);
  const guest = await Namespace.make(scope);
  const relay = [program, "relay", "/dev/net/tun", TAP_NAME, `/run/netns/${guest.name}`, "offload"];
  const monitor = await startAndWait(scope, pod.command(...relay), "attached");
  await guest.setUp("ip link set guest0 address 02:42:0a:09:00:02");
  return { guest, monitor };
}

async function serve(scope: Scope, namespaces: Record<keyof typeof PORTS, Namespace>) {
  for (const [name, namespace] of Object.entries(namespaces)) {
    const port = PORTS[name as keyof typeof PORTS];
    await startAndWait(scope, namespace.command(...DENO, "serve", "::", port), "listening");
  }
}

/** What a client prints; empty when it hears nothing. */
async function call(from: Namespace, ...args: string[]): Promise<string> {
  return (await run(from.command("timeout", "30", ...DENO, ...args))).stdout.trim();
}

/** True when nothing comes back, whichever is asked. */
async function isDeaf(from: Namespace, ...args: string[]): Promise<boolean> {
  return (await run(from.command("timeout", "4", ...DENO, ...args))).stdout.trim() === "";
}

testIf("guest and sidecars share the pod's address, over TCP, UDP and ping", {
  needs: [...NEEDS, "ping", "timeout"],
  timeoutSeconds: 300,
}, async () => {
  await using scope = new Scope();
  const { pod, host, guest, monitor } = await makePod(scope, "shareIngress");
  for (const address of ADDRESSES.pod) {
    for (const port of [PORTS.guest, PORTS.sidecar]) {
      assert.equal(
        await call(host, "check", address, `${BYTES}`, port),
        "same",
        `${address} ${port}`,
      );
      assert.equal(await call(host, "ask", address, port), "same", `${address} ${port} udp`);
    }
    // One answer: the namespace leaves pings to the guest.
    const { stdout } = await run(host.command("ping", "-c", "3", "-i", "0.2", "-W", "3", address));
    assert.match(stdout, /3 received/);
    assert.doesNotMatch(stdout, /DUP|duplicates/);
  }
  for (const [name, from] of Object.entries({ guest, sidecar: pod })) {
    for (const address of ADDRESSES.host) {
      const what = `${name} to ${address}`;
      assert.equal(await call(from, "check", address, `${BYTES}`, PORTS.host), "same", what);
      assert.equal(await call(from, "ask", address, PORTS.host), "same", `${what} udp`);
      const { stdout } = await run(from.command("ping", "-c", "1", "-W", "3", address));
      assert.match(stdout, /1 received/, `${what} ping`);
    }
  }
  // A port that nobody listens on is refused by the guest alone, which is not there any more.
  await monitor.end();
  assert.equal(await call(host, "check", "10.9.0.2", "1000", PORTS.sidecar), "same");
  assert.ok(await isDeaf(host, "check", "10.9.0.2", "1000", PORTS.guest));
  const { stdout } = await run(host.command("ping", "-c", "1", "-W", "1", "10.9.0.2"));
  assert.match(stdout, / 0 received/);
});

testIf("without sharing the namespace hears nothing", {
  needs: [...NEEDS, "timeout"],
  timeoutSeconds: 200,
}, async () => {
  await using scope = new Scope();
  const { pod, host } = await makePod(scope, "redirectIngress");
  assert.equal(await call(host, "check", "10.9.0.2", "1000", PORTS.guest), "same");
  assert.ok(await isDeaf(host, "check", "10.9.0.2", "1000", PORTS.sidecar));
  assert.ok(await isDeaf(pod, "ask", "10.9.0.1", PORTS.host));
});

testIf("a guest shares the interface of a namespace that it joins", {
  needs: NEEDS,
  timeoutSeconds: 200,
}, async () => {
  await using scope = new Scope();
  const { container: namespace } = await makePair(scope);
  const guest = await guestIn(scope, namespace);
  await guest.mustCreate();
  assert.match(await namespace.look("tc filter show dev eth0 ingress"), /bpf .*urunc_share/);
  assert.match(
    await namespace.look(`tc filter show dev ${TAP_NAME} ingress`),
    /bpf .*urunc_filter/,
  );
  assert.match(await namespace.look(`ip link show ${TAP_NAME}`), /[<,]UP[,>]/);
});

/** As docker's hook: an interface for the container's own namespace. Its state is on standard input. */
const ATTACH = `pid=$(sed 's/.*"pid":\\([0-9]*\\).*/\\1/')
exec nsenter --net=/proc/$pid/ns/net sh -ec '
ip link add eth0 type veth peer name peer0
ip address add 10.9.0.2/24 dev eth0
ip link set eth0 up
ip link set peer0 up
'`;

testIf("all packets of a namespace that is the container's own are the guest's", {
  needs: [...NEEDS, "nsenter", "sed"],
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle", {
    edit: (config) =>
      config.hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", ATTACH] }] },
  });
  const pid = await container.mustCreate();
  const look = async (command: string) =>
    (await run(["nsenter", `--net=/proc/${pid}/ns/net`, ...command.split(" ")], { check: true }))
      .stdout;
  const redirection = new RegExp(`Egress Redirect to device ${TAP_NAME}`);
  assert.match(await look("tc filter show dev eth0 ingress"), redirection);
  assert.match(await look(`tc filter show dev ${TAP_NAME} ingress`), /bpf .*urunc_filter/);
  assert.match(await look(`ip link show ${TAP_NAME}`), /[<,]UP[,>]/);
});

/** A sidecar's service for its pod alone: by TCP on the loopback, and by an abstract socket. */
const SERVICE = `use IO::Socket; $| = 1;
my $port = IO::Socket::INET->new(LocalAddr => "127.0.0.1:7009", Listen => 5) or die $!;
my $name = IO::Socket::UNIX->new(Local => "\\0urunc-sidecar", Listen => 5) or die $!;
print "listening\\n"; sleep 60`;
const REACH = "connect-port 7009; connect-abstract urunc-sidecar";

testIf("a monitor in a pod reaches no sidecar, by loopback or an abstract socket", {
  needs: [...NEEDS, "perl"],
}, async () => {
  await using scope = new Scope();
  const { container: pod } = await makePair(scope);
  await pod.setUp("ip link set lo up");
  await startAndWait(scope, pod.command("perl", "-e", SERVICE), "listening");
  const reached = '{"errno":0}\n{"errno":0}\n';
  const { stdout } = await run(pod.command(await doubleBinary(), "-append", REACH));
  assert.equal(stdout, reached, "a process of the pod reaches both");

  // Its filter of system calls would not give it a socket in the first place.
  const container = await guestIn(
    scope,
    pod,
    {},
    `${REACH}; print done`,
    `seccomp = "off"\naccelerator = "tcg"`,
  );
  await container.mustStart();
  // There is no way; where the kernel has Landlock, that refuses before: EACCES.
  const [EACCES, ENETUNREACH, ECONNREFUSED] = [13, 101, 111];
  const output = await container.waitForOutput("done");
  const [port, abstract] = output.split("\n").map((it) => /\d+/.exec(it)?.[0]).map(Number);
  assert.ok([EACCES, ENETUNREACH].includes(port!), output);
  assert.equal(abstract, ECONNREFUSED);
});

const KNATIVE = { "io.kubernetes.cri.container-name": "user-container" };

/** All that a routed guest's network could have changed. */
async function routing(namespace: Namespace): Promise<string> {
  const all = await namespace.look("cat /proc/sys/net/ipv4/conf/eth0/forwarding") +
    await namespace.look("nft list ruleset");
  return all + await namespace.snapshot();
}

testIf("a guest of Knative's has a subnet with its pod, and goes out under the pod's address", {
  needs: [...NEEDS, "nft", "ping", "timeout"],
  timeoutSeconds: 300,
}, async () => {
  await using scope = new Scope();
  const { container: pod, host } = await makePair(scope);
  await pod.setUp("ip link set lo up", "sysctl -q -w net.ipv4.conf.eth0.forwarding=0");
  const before = await routing(pod);
  const container = await guestIn(scope, pod, KNATIVE, WITHOUT_TAP);
  const pid = await container.mustStart();
  await container.waitForOutput("closed");

  const { guest, monitor } = await attachGuest(scope, pod);
  await guest.setUp(
    "ip address add 172.16.1.2/24 dev guest0",
    "ip link set guest0 up",
    "ip route add default via 172.16.1.1",
  );
  await serve(scope, { guest, sidecar: pod, host });
  const cases: [string, Namespace, string, string][] = [
    ["queue-proxy to the guest", pod, "172.16.1.2", PORTS.guest],
    ["outside to queue-proxy", host, "10.9.0.2", PORTS.sidecar],
    ["queue-proxy to outside", pod, "10.9.0.1", PORTS.host],
    // Which has no route to the subnet: it answers the pod's address.
    ["the guest to outside", guest, "10.9.0.1", PORTS.host],
  ];
  for (const [what, from, address, port] of cases) {
    assert.equal(await call(from, "check", address, `${BYTES}`, port), "same", what);
    assert.equal(await call(from, "ask", address, port), "same", `${what}, udp`);
  }
  const { stdout } = await run(guest.command("ping", "-c", "1", "-W", "3", "10.9.0.1"));
  assert.match(stdout, /1 received/);

  await monitor.end();
  assertSucceeded(await container.delete("--force"));
  assertNothingLeft(container, pid);
  assert.equal(await routing(pod), before);
});

testIf("a routed guest's interface that forwarded before does so after it", {
  needs: [...NEEDS, "nft"],
  timeoutSeconds: 200,
}, async () => {
  await using scope = new Scope();
  const { container: pod } = await makePair(scope);
  await pod.setUp("sysctl -q -w net.ipv4.conf.eth0.forwarding=1", "nft add table ip others");
  const before = await routing(pod);
  const container = await guestIn(scope, pod, KNATIVE);
  await container.mustStart();
  assert.match(
    await pod.look("nft list table ip urunc"),
    /postrouting.*oifname "eth0" ip saddr 172\.16\.1\.0\/24 masquerade/s,
  );
  // As if its creator had been killed: the next one replaces what it finds.
  assertSucceeded(await container.kill("KILL"));
  await container.waitForStatus("stopped");
  const next = await guestIn(scope, pod, KNATIVE);
  await next.mustStart();
  assertSucceeded(await container.delete());
  assertSucceeded(await next.delete("--force"));
  assert.equal(await routing(pod), before);
});

testIf("a routed guest whose subnet the pod has is refused", { needs: NEEDS }, async () => {
  await using scope = new Scope();
  const { container: pod } = await makePair(scope, "172.16.1");
  const before = await pod.snapshot();
  const container = await guestIn(scope, pod, KNATIVE);
  assertFailed(await container.create(), ["172.16.1.2/24 overlaps the guest's 172.16.1.1/24"]);
  assertNothingLeft(container);
  assert.equal(await pod.snapshot(), before);
});

testIf("where the kernel has no nf_tables, a routed guest is refused and nothing is left", {
  needs: NEEDS,
  timeoutSeconds: 200,
}, async () => {
  await using scope = new Scope();
  const { container: pod } = await makePair(scope);
  const before = await pod.snapshot();
  const wrapper = [`${await scope.temporaryDirectory("wrapper")}/without_netfilter`];
  await run(["gcc", "-O1", "-o", wrapper[0]!, WITHOUT_NETFILTER], { check: true });
  const container = await guestIn(scope, pod, KNATIVE);
  const refused = await container.create({ wrapper });
  assertFailed(refused, ["masquerade", "nf_tables: EPROTONOSUPPORT", "modprobe -a nf_tables"]);
  assert.doesNotMatch(refused.stderr, /undo/);
  assertNothingLeft(container);
  assert.equal(await pod.snapshot(), before);
});
