/** A guest with an agent in a network namespace with two interfaces, as in a pod with two networks. */
import assert from "node:assert/strict";
import { monitorOf, run, waitFor } from "../support/process.ts";
import {
  assertFailed,
  assertNothingLeft,
  assertSucceeded,
  doubleContainer,
  linuxContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import {
  ENDED,
  ENDS_WHOLLY,
  makePair,
  MONITOR,
  Namespace,
  startAndWait,
} from "./network_support.ts";

const NEEDS = ["root", "gcc", "ip", "tc", "nsenter"];
/** Of the second interface. */
const SECOND_MAC = "02:42:0a:0a:00:02";

/** A pod with eth0 and eth1, and the two networks that these are in. */
async function makeNetworks(scope: Scope) {
  const { container: pod, host: first } = await makePair(scope);
  const second = await Namespace.make(scope);
  await second.setUp(
    `ip link add host1 type veth peer name eth1 netns ${pod.name}`,
    "ip address add 10.10.0.1/24 dev host1",
    "ip link set host1 up",
  );
  await pod.setUp(
    "ip link set lo up",
    `ip link set eth1 address ${SECOND_MAC} mtu 1400 addrgenmode none`,
    "ip address add 10.10.0.2/24 dev eth1",
    "ip link set eth1 up",
  );
  await waitFor(async () => / state UP /.test(await pod.look("ip link show eth1")), {
    timeoutSeconds: 10,
    what: "eth1 to have its carrier",
  });
  return { pod, first, second };
}

function namespacesOf(pod: Namespace) {
  const own = ["pid", "ipc", "uts", "mount"].map((type) => ({ type }));
  return [...own, { type: "network", path: `/run/netns/${pod.name}` }];
}

/** A Linux guest whose monitor, the test double, boots nothing. */
async function linuxGuest(scope: Scope, pod: Namespace, agent: "on" | "none" = "on") {
  const initrd = `${await scope.temporaryDirectory("initrd")}/initrd`;
  await Deno.writeTextFile(initrd, "070701");
  return await doubleContainer(scope, "idle", {
    unikernelType: "linux",
    initrd,
    unikernel: { agent },
    namespaces: namespacesOf(pod),
  });
}

async function programsOf(pod: Namespace, ...links: string[]): Promise<string[]> {
  const shown = await Promise.all(
    links.map((link) => pod.look(`tc filter show dev ${link} ingress`)),
  );
  return shown.map((text) => /urunc_\w+/.exec(text)?.[0] ?? "none");
}

testIf("networks: each interface of a guest with an agent has a tap, until it is deleted", {
  needs: NEEDS,
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const { pod } = await makeNetworks(scope);
  const before = await pod.snapshot();
  const [guest, another] = [await linuxGuest(scope, pod), await linuxGuest(scope, pod)];
  const pid = await guest.mustCreate();
  const shown = await pod.look("ip -o -d link");
  const owner = new RegExp(`alias urunc:${pid}:\\d+:`);
  for (const [tap, mtu] of [["tap0_urunc", 1500], ["tap1_urunc", 1400]] as const) {
    const line = shown.split("\n").find((it) => it.includes(`: ${tap}: `));
    assert.match(line!, new RegExp(`mtu ${mtu} .* user nobody group nogroup `));
    assert.match(line!, owner);
  }
  assert.deepEqual(await programsOf(pod, "eth0", "eth1", "tap0_urunc", "tap1_urunc"), [
    ...["urunc_share", "urunc_share", "urunc_filter", "urunc_filter"],
  ]);

  // It has a descriptor of each, and is not where they are.
  const monitor = await guest.monitorPid();
  const open = [...Deno.readDirSync(`/proc/${monitor}/fd`)].map(({ name }) =>
    Deno.readLinkSync(`/proc/${monitor}/fd/${name}`)
  );
  assert.equal(open.filter((it) => it.endsWith("/tun")).length, 2);
  const links = await run(["nsenter", "--target", `${monitor}`, "--net", "ip", "-o", "link"]);
  assert.doesNotMatch(links.stdout, /tap|eth/);

  assertFailed(await another.create(), ["tap0_urunc", "only one container with a guest"]);
  assertNothingLeft(another);
  assert.deepEqual(await programsOf(pod, "eth1", "tap1_urunc"), ["urunc_share", "urunc_filter"]);

  const deleted = await guest.delete("--force");
  assertSucceeded(deleted);
  assert.equal(deleted.stderr, "");
  assertNothingLeft(guest, pid);
  assert.equal(await pod.snapshot(), before);
});

testIf("networks: what an earlier guest with more of them left is taken away", {
  needs: NEEDS,
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const { pod } = await makeNetworks(scope);
  const before = await pod.snapshot();
  await pod.succeed(
    ...["tap0_urunc", "tap1_urunc", "tap2_urunc"].map((name) =>
      ["createTap", { ...MONITOR, name, owner: ENDED }] as const
    ).map((it) => [...it] as ["createTap", typeof MONITOR]),
  );
  const guest = await linuxGuest(scope, pod);
  await guest.mustCreate();
  assert.doesNotMatch(await pod.look("ip -o link"), /tap2_urunc/);
  assertSucceeded(await guest.delete("--force"));
  assert.equal(await pod.snapshot(), before);
});

testIf(
  "networks: what comes in by an interface reaches others again, when its guest was not deleted",
  {
    needs: NEEDS,
    timeoutSeconds: 120,
  },
  async () => {
    await using scope = new Scope();
    const { pod } = await makeNetworks(scope);
    const before = await pod.snapshot();
    const [first, next] = [await linuxGuest(scope, pod), await linuxGuest(scope, pod, "none")];
    await first.mustStart();
    assertSucceeded(await first.kill("KILL"));
    await first.waitForStatus("stopped");
    assert.deepEqual(await programsOf(pod, "eth0", "eth1"), ["urunc_share", "urunc_share"]);

    await next.mustCreate();
    assert.deepEqual(await programsOf(pod, "eth0", "eth1"), ["urunc_share", "none"]);
    assert.equal(await pod.look("tc qdisc show dev eth1 ingress"), "");
    assertSucceeded(await first.delete());
    assert.deepEqual(await programsOf(pod, "eth0", "eth1"), ["urunc_share", "none"]);
    assertSucceeded(await next.delete("--force"));
    assert.equal(await pod.snapshot(), before);
  },
);

testIf(
  "networks: an interface that another program filters is left to it, unless it is the first",
  {
    needs: NEEDS,
    timeoutSeconds: 120,
  },
  async () => {
    await using scope = new Scope();
    const { pod } = await makeNetworks(scope);
    const guest = await linuxGuest(scope, pod);
    await pod.setUp("tc qdisc add dev eth1 clsact");
    const before = await pod.snapshot();
    const created = await guest.create();
    assertSucceeded(created);
    assert.match(
      created.stderr,
      /not connected: eth1 \(another program filters its incoming packets \(qdisc clsact\)\)/,
    );
    assert.deepEqual(await programsOf(pod, "eth0", "tap0_urunc"), ["urunc_share", "urunc_filter"]);
    assertSucceeded(await guest.delete("--force"));
    assert.equal(await pod.snapshot(), before);

    await pod.setUp("tc qdisc del dev eth1 clsact", "tc qdisc add dev eth0 clsact");
    assertFailed(await guest.create(), ["eth0", "another program filters its incoming packets"]);
    assertNothingLeft(guest);
  },
);

testIf("networks: a guest can be deleted when one of its interfaces is gone", {
  needs: NEEDS,
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const { pod } = await makeNetworks(scope);
  const guest = await linuxGuest(scope, pod);
  const pid = await guest.mustCreate();
  await pod.setUp("ip link delete eth1");
  const before = await pod.look("ip -o link show eth0");
  const deleted = await guest.delete("--force");
  assertSucceeded(deleted);
  assert.equal(deleted.stderr, "");
  assertNothingLeft(guest, pid);
  assert.doesNotMatch(await pod.look("ip -o link"), /_urunc/);
  assert.equal(await pod.look("ip -o link show eth0"), before);
  assert.deepEqual(await programsOf(pod, "eth0"), ["none"]);
});

testIf("networks: a guest without an agent has the first, and a state as before", {
  needs: NEEDS,
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const { pod } = await makeNetworks(scope);
  const before = await pod.snapshot();
  const guest = await linuxGuest(scope, pod, "none");
  const created = await guest.create();
  assertSucceeded(created);
  assert.match(created.stderr, /the guest has eth0 and no other interface; not connected: eth1"/);
  const { network } = JSON.parse(
    await Deno.readTextFile(`${guest.root}/${guest.id}/state.json`),
  );
  assert.deepEqual([network.tap, network.interface, "further" in network], [
    ...["tap0_urunc", "eth0", false],
  ]);
  assertSucceeded(await guest.delete("--force"));
  assert.equal(await pod.snapshot(), before);
});

const busybox = (from: Namespace, ...args: string[]) =>
  run(from.command("timeout", "20", "busybox", ...args));

testIf("networks: a guest is reached, and reaches others, on both beside its sidecar", {
  needs: [...NEEDS, "qemu-system-x86_64", "busybox", "cpio", "apt-get", "timeout"],
  timeoutSeconds: 180,
}, async () => {
  await using scope = new Scope();
  const { pod, first, second } = await makeNetworks(scope);
  const before = await pod.snapshot();
  const serve = (port: number, answer: string) =>
    `echo listening; while :; do echo ${answer} | busybox nc -l -p ${port}; done`;
  for (const [namespace, answer] of [[first, "first"], [second, "second"]] as const) {
    const argv = namespace.command(...ENDS_WHOLLY, "sh", "-c", serve(7000, answer));
    await startAndWait(scope, argv, "listening");
  }
  const sidecar = pod.command(...ENDS_WHOLLY, "sh", "-c", serve(7001, "sidecar"));
  await startAndWait(scope, sidecar, "listening");

  const guest = await linuxContainer(scope, {
    disk: { moduleTree: true },
    env: ["PATH=/bin"],
    namespaces: namespacesOf(pod),
    args: [
      ...["busybox", "sh", "-c"],
      [
        "for host in 10.9.0.1 10.10.0.1; do busybox nc -w 10 $host 7000 </dev/null; done",
        "busybox ip -o link | busybox grep -o 'eth.: .* mtu [0-9]*' | busybox sed 's/<.*>//'",
        serve(7002, "guest"),
      ].join("\n"),
    ],
  });
  const pid = await guest.mustStart();
  await guest.waitForOutput("listening", 60);
  assert.equal(guest.output(), "first\nsecond\neth0:  mtu 1500\neth1:  mtu 1400\nlistening\n");
  for (const [from, address] of [[first, "10.9.0.2"], [second, "10.10.0.2"]] as const) {
    for (const [port, answer] of [["7001", "sidecar"], ["7002", "guest"]] as const) {
      // A server is not there yet, or between two connections.
      await waitFor(
        async () => (await busybox(from, "nc", address, port)).stdout === `${answer}\n`,
        {
          timeoutSeconds: 20,
          what: `${answer} at ${address}`,
        },
      );
    }
    const { stdout } = await busybox(from, "ping", "-c", "1", "-W", "5", address);
    assert.match(stdout, /1 packets received/);
  }
  assert.notEqual(monitorOf(pid), undefined);
  assertSucceeded(await guest.delete("--force"));
  assertNothingLeft(guest, pid);
  assert.equal(await pod.snapshot(), before);
});
