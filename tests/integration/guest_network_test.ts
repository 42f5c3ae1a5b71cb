/**
 * A Linux guest's first program sets up its network: here its "kernel" is a network namespace, and the
 * container's own program is busybox, which tells what it finds.
 */
import assert from "node:assert/strict";
import { networkFile } from "../../lib/guest/initrd/network.ts";
import { initrdSegment } from "../../lib/guest/initrd/segment.ts";
import type { GuestNetwork } from "../../lib/guest/types.ts";
import { run, signalChild, waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { findProgram, testIf } from "../support/skip.ts";
import { ENDS_WHOLLY, Namespace } from "./network_support.ts";

const NEEDS = ["root", "ip", "busybox", "cpio", "chroot"];

const MAC = "02:42:0a:58:03:07";
const NETWORK: GuestNetwork = {
  mac: MAC,
  mtu: 1500,
  ipv4: { address: "10.88.3.7", prefixLength: 20, gateway: "10.88.0.1" },
  ipv6: { address: "fd00:88::7", prefixLength: 64, gateway: "fe80::1" },
};
/** With gateways that no subnet has. */
const FAR: GuestNetwork = {
  mac: MAC,
  mtu: 1500,
  ipv4: { address: "10.88.3.7", prefixLength: 32, gateway: "169.254.1.1" },
  ipv6: { address: "fd00:88::7", prefixLength: 128, gateway: "fd00:99::1" },
};
const CARD = [
  `ip link add eth7 address ${MAC} type veth peer name p7`,
  "ip link set p7 up",
];
const SHOW = "ip address show; ip route; ip -6 route";

/** A guest that is about to boot: its "kernel", and how to run its init. */
async function makeGuest(
  scope: Scope,
  network: GuestNetwork,
  script = SHOW,
  furtherNetworks: GuestNetwork[] = [],
) {
  const directory = await scope.temporaryDirectory("guest");
  const args = ["/bin/sh", "-c", script];
  const segment = initrdSegment({
    args,
    env: ["PATH=/bin"],
    network,
    furtherNetworks,
    resolvConf: "nameserver ::1",
  });
  await Deno.writeFile(`${directory}/segment`, segment);
  const tree = `${directory}/tree`;
  await Deno.mkdir(`${tree}/bin`, { recursive: true });
  await run(
    ["sh", "-c", 'cd "$1" && cpio --quiet -id < "$2"', "sh", tree, `${directory}/segment`],
    {
      check: true,
    },
  );
  await Deno.copyFile(findProgram("busybox")!, `${tree}/bin/busybox`);
  for (const name of ["sh", "ip", "cat", "sleep", "grep"]) {
    await Deno.symlink("busybox", `${tree}/bin/${name}`);
  }
  const namespace = await Namespace.make(scope);
  return { namespace, init: namespace.command(...ENDS_WHOLLY, "chroot", tree, "/urunc/init") };
}

testIf(
  "a guest's init sets up both families before the program runs",
  { needs: NEEDS },
  async () => {
    await using scope = new Scope();
    const { namespace, init } = await makeGuest(scope, NETWORK, `${SHOW}; cat /etc/resolv.conf`);
    await namespace.setUp(...CARD);
    const { stdout, stderr } = await run(init, { check: true });
    assert.equal(stderr, "");
    assert.match(stdout, /inet 127\.0\.0\.1\/8 /);
    assert.match(stdout, /inet 10\.88\.3\.7\/20 scope global eth7/);
    // Not tentative: a guest may use it, and be reached by it, from its first instruction.
    assert.match(stdout, /inet6 fd00:88::7\/64 scope global flags 02/);
    assert.match(stdout, /default via 10\.88\.0\.1 dev eth7/);
    assert.match(stdout, /default via fe80::1 dev eth7/);
    assert.match(stdout, /nameserver ::1/);
  },
);

testIf("a guest's init reaches gateways outside its subnets", { needs: NEEDS }, async () => {
  await using scope = new Scope();
  const { namespace, init } = await makeGuest(scope, FAR);
  await namespace.setUp(...CARD);
  const { stdout, stderr } = await run(init, { check: true });
  assert.equal(stderr, "");
  assert.match(stdout, /default via 169\.254\.1\.1 dev eth7/);
  assert.match(stdout, /default via fd00:99::1 dev eth7/);
});

testIf("a guest's init leaves what the kernel has set up", { needs: NEEDS }, async () => {
  await using scope = new Scope();
  const { namespace, init } = await makeGuest(scope, NETWORK);
  await namespace.setUp(
    ...CARD,
    "ip address add 10.88.3.7/20 dev eth7",
    "ip link set eth7 up",
    "ip route add default via 10.88.0.1",
  );
  const { stdout, stderr } = await run(init, { check: true });
  assert.equal(stderr, "");
  assert.equal(stdout.match(/inet 10\.88\.3\.7/g)?.length, 1);
  assert.match(stdout, /inet6 fd00:88::7\/64/);
});

testIf("a guest whose driver is a module gets IPv6 once its init has the link up", {
  needs: NEEDS,
}, async () => {
  await using scope = new Scope();
  const { namespace, init } = await makeGuest(scope, NETWORK, "sleep 1000");
  const [command, ...args] = init;
  const child = new Deno.Command(command!, { args }).spawn();
  scope.defer("end the guest", async () => {
    child.kill("SIGKILL");
    await child.status;
  });
  // Another card is not its own.
  await namespace.setUp("ip link add eth0 type veth peer name p0", "ip link set eth0 up");
  await namespace.setUp(...CARD);
  assert.doesNotMatch(await namespace.look("ip link show eth7"), /[<,]UP[,>]/);
  await namespace.setUp("ip link set eth7 up");
  await waitFor(async () => (await namespace.look("ip -6 route")).includes("default via fe80::1"), {
    timeoutSeconds: 10,
    what: "the default route",
  });
  const addresses = await namespace.look("ip address show");
  assert.match(addresses, /inet6 fd00:88::7\/64 scope global/);
  // IPv4 is for a guest that loaded the driver and got it by ip=.
  assert.doesNotMatch(addresses, /10\.88\.3\.7/);
});

testIf("a guest's init finds each of its interfaces, and gives it its name", {
  needs: NEEDS,
}, async () => {
  await using scope = new Scope();
  const other = "02:42:0a:58:03:08";
  const { namespace, init } = await makeGuest(scope, { ...NETWORK, name: "eth0" }, SHOW, [{
    mac: other,
    mtu: 1500,
    name: "net1",
    ipv4: { address: "10.89.0.7", prefixLength: 24, gateway: "10.89.0.1", metric: 100 },
    linkLocal: "fe80::8",
  }]);
  // Its kernel has called them the other way round.
  await namespace.setUp(
    `ip link add eth0 address ${other} type veth peer name p0`,
    `ip link add net1 address ${MAC} type veth peer name p1`,
    "ip link set p0 up",
    "ip link set p1 up",
  );
  const { stdout, stderr } = await run(init, { check: true });
  assert.equal(stderr, "");
  assert.match(stdout, /inet 10\.88\.3\.7\/20 scope global eth0/);
  assert.match(stdout, /inet 10\.89\.0\.7\/24 scope global net1/);
  assert.match(stdout, /inet6 fe80::8\/64 scope link flags 02/);
  const first = stdout.split(/^(?=\d+: )/m).find((it) => it.includes(": eth0@"));
  assert.doesNotMatch(first!.split("\ndefault")[0]!, /inet6 fe80/, "the other is to have none");
  assert.match(stdout, /default via 10\.88\.0\.1 dev eth0 *$/m);
  assert.match(stdout, /default via 10\.89\.0\.1 dev net1 +metric 100/);
});

testIf(
  "a guest's init sets up what is there, and says what it cannot",
  { needs: NEEDS },
  async () => {
    await using scope = new Scope();
    const { namespace, init } = await makeGuest(scope, { ...NETWORK, name: "taken" }, SHOW, [{
      mac: "02:42:0a:58:03:08",
      mtu: 1500,
      name: "net1",
      ipv4: { address: "10.89.0.7", prefixLength: 24 },
    }]);
    await namespace.setUp(...CARD, "ip link add taken type veth peer name p9");
    const { stdout, stderr } = await run(init, { check: true });
    assert.equal(stderr, "urunc: cannot set up the network: errno 17\n");
    assert.match(stdout, /inet 10\.88\.3\.7\/20 scope global urunc0/);
    assert.doesNotMatch(stdout, /10\.89\.0\.7/);
  },
);

testIf("an agent waits for the interfaces that are missing, and sets up what is there at once", {
  needs: [...NEEDS, "gcc"],
}, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("late");
  const source = new URL("late_network.c", import.meta.url).pathname;
  await run(["gcc", "-Wall", "-o", `${directory}/late`, source], { check: true });
  const mac = (last: number) => `02:42:0a:58:03:0${last}`;
  const networks = [1, 2, 3].map((last): GuestNetwork => ({
    mac: mac(last),
    mtu: 1500,
    name: `eth${last}`,
    ipv4: { address: `10.88.${last}.7`, prefixLength: 24 },
  }));
  await Deno.writeFile(`${directory}/network`, networkFile(networks));
  const namespace = await Namespace.make(scope);
  const card = (name: string, last: number) => [
    `ip link add ${name} address ${mac(last)} type veth peer name p${last}`,
    `ip link set p${last} up`,
  ];
  // Of the second the kernel's name is the first one's.
  await namespace.setUp(...card("eth1", 2));
  const [command, ...args] = namespace.command(`${directory}/late`, `${directory}/network`);
  const child = new Deno.Command(command!, { args, stdout: "piped", stderr: "piped" }).spawn();
  const ended = child.output();
  scope.defer("end it", async () => {
    signalChild(child, "SIGKILL");
    await ended;
  });
  await waitFor(async () => (await namespace.look("ip -o -4 address")).includes("10.88.2.7"), {
    timeoutSeconds: 10,
    what: "the interface that is there",
  });
  assert.match(await namespace.look("ip -o -4 address"), /eth2 +inet 10\.88\.2\.7/);
  // Each with the other's name.
  await namespace.setUp(...card("eth1", 3));
  assert.doesNotMatch(await namespace.look("ip -o -4 address"), /10\.88\.3\.7/);
  await namespace.setUp(...card("eth3", 1));
  const { code, stderr } = await ended;
  assert.deepEqual([code, new TextDecoder().decode(stderr)], [0, ""]);
  const addresses = await namespace.look("ip -o -4 address");
  for (const last of [1, 2, 3]) {
    assert.match(addresses, new RegExp(`eth${last} +inet 10\\.88\\.${last}\\.7`));
  }
});
