/** Several containers in one network namespace, as in a pod: the monitor is the test double. */
import assert from "node:assert/strict";
import { TAP_NAME } from "../../lib/network/names.ts";
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

/** A guest in a namespace that others may be in. */
async function guestIn(scope: Scope, namespace: Namespace): Promise<Container> {
  const types = ["pid", "ipc", "uts", "mount"].map((type) => ({ type }));
  return await doubleContainer(scope, "idle", {
    namespaces: [...types, { type: "network", path: `/run/netns/${namespace.name}` }],
  });
}

testIf("a second guest is refused, and the first keeps its network throughout", {
  needs: NEEDS,
  timeoutSeconds: 60,
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
  // The double never attaches to the tap: as a monitor that was executed a moment ago.
  await refused("started");

  assertSucceeded(await first.delete("--force"));
  assertNothingLeft(first, pid);
  assert.equal(await namespace.snapshot(), before);
  await second.mustStart();
  assertSucceeded(await second.delete("--force"));
  assert.equal(await namespace.snapshot(), before);
});

testIf("a guest that ended makes room, and its late deletion takes nothing away", {
  needs: NEEDS,
  timeoutSeconds: 60,
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
  const { program, tun } = await makeGuest(scope);
  const guest = await Namespace.make(scope);
  const relay = [program, "relay", tun, TAP_NAME, `/run/netns/${guest.name}`, "offload"];
  const monitor = await startAndWait(scope, pod.command(...relay), "attached");
  await guest.setUp(
    "ip link set guest0 address 02:42:0a:09:00:02",
    "ip address add 10.9.0.2/24 dev guest0",
    "ip address add fd09::2/64 dev guest0 nodad",
    "ip link set guest0 up",
  );
  for (const [name, namespace] of Object.entries({ guest, sidecar: pod, host })) {
    const port = PORTS[name as keyof typeof PORTS];
    await startAndWait(scope, namespace.command(...DENO, "serve", "::", port), "listening");
  }
  /** What a client prints; empty when it hears nothing. */
  const call = async (from: Namespace, ...args: string[]) => {
    const { stdout } = await run(from.command("timeout", "3", ...DENO, ...args));
    return stdout.trim();
  };
  return { pod, host, guest, monitor, call };
}

testIf("guest and sidecars share the pod's address, over TCP, UDP and ping", {
  needs: [...NEEDS, "ping", "timeout"],
  timeoutSeconds: 90,
}, async () => {
  await using scope = new Scope();
  const { pod, host, guest, monitor, call } = await makePod(scope, "shareIngress");
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
  assert.equal(await call(host, "check", "10.9.0.2", "1000", PORTS.guest), "");
  const { stdout } = await run(host.command("ping", "-c", "1", "-W", "1", "10.9.0.2"));
  assert.match(stdout, / 0 received/);
});

testIf("without sharing the namespace hears nothing", {
  needs: [...NEEDS, "timeout"],
  timeoutSeconds: 60,
}, async () => {
  await using scope = new Scope();
  const { pod, host, call } = await makePod(scope, "redirectIngress");
  assert.equal(await call(host, "check", "10.9.0.2", "1000", PORTS.guest), "same");
  assert.equal(await call(host, "check", "10.9.0.2", "1000", PORTS.sidecar), "");
  assert.equal(await call(pod, "ask", "10.9.0.1", PORTS.host), "");
});

testIf("a guest shares the interface of a namespace that it joins", {
  needs: NEEDS,
  timeoutSeconds: 60,
}, async () => {
  await using scope = new Scope();
  const { container: namespace } = await makePair(scope);
  const guest = await guestIn(scope, namespace);
  await guest.mustCreate();
  assert.match(await namespace.look("tc filter show dev eth0 ingress"), /bpf .*urunc_share/);
  assert.match(
    await namespace.look(`tc filter show dev ${TAP_NAME} ingress`),
    /mirred \(Egress Redirect to device eth0\)/,
  );
});
