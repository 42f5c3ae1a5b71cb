/** A guest's network, when its shim is killed: what it was given in a namespace that outlives it. */
import assert from "node:assert/strict";
import { TAP_NAME } from "../../../lib/network/names.ts";
import type { Containerd } from "../../support/containerd.ts";
import { parseReport } from "../../support/double.ts";
import { isAlive, waitFor } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import {
  assertNothingLeft,
  DOUBLE_NEEDS,
  GUEST,
  ORDINARY,
  startWithDouble,
  waitForStatus,
} from "./_common.ts";

const HOST = "10.9.3.1";

/** How a guest shares the namespace, and what shows it there. */
const MODES = [
  { mode: "shares the interface", flags: [], shown: /urunc_share/ },
  {
    mode: "has a subnet of its own",
    flags: ["--annotation=io.kubernetes.cri.container-name=user-container"],
    shown: /ip saddr 172\.16\.1\.0\/24 masquerade/,
  },
];

for (const { mode, flags, shown } of MODES) {
  testIf(`a shim that is killed: the network of its guest, which ${mode}, is as it was`, {
    needs: [...DOUBLE_NEEDS, "tc", "nft"],
  }, async () => {
    await using scope = new Scope();
    const it = await startWithDouble(scope);
    await makeNamespace(it);
    const before = await describeNetwork(it);
    const inside = ["--with-ns=network:/run/netns/pod", "--user=65534:65534", ...flags];
    await it.ctrRun(["--detach", ...inside], GUEST, "lost", ["idle"], { check: true });
    const pid = await waitForStatus(it, "lost", "RUNNING");
    const taken = await describeNetwork(it);
    assert.match(taken, shown);
    assert.ok(taken.includes(TAP_NAME), taken);

    for (const shim of it.shims()) Deno.kill(shim, "SIGKILL");
    await waitFor(() => !isAlive(pid), { timeoutSeconds: 10, what: "the guest to end" });
    await assertNothingLeft(it);
    assert.equal(await describeNetwork(it), before);

    // What comes for the namespace goes to what is in it, and the next guest gets it as the first.
    const ping = ["/bin/ping", "-c", "1", "-W", "5", HOST];
    const next = await it.ctrRun(["--rm", inside[0]!], ORDINARY, "next", ping);
    assert.match(next.stdout, /1 packets received/, next.stderr);
    await it.ctr(["containers", "delete", "lost"], { check: true });
    const again = await it.ctrRun(["--rm", ...inside], GUEST, "lost", ["report"], { check: true });
    const { argv } = parseReport(again.stdout);
    assert.ok(argv.some((argument) => argument.includes("tap")), argv.join(" "));
    assert.equal(await describeNetwork(it), before);
    await assertNothingLeft(it);
  });
}

/** A pod's namespace with eth0, whose other end is where containerd is. */
async function makeNamespace(it: Containerd): Promise<void> {
  const script = `
    ip netns add pod
    ip link add host0 type veth peer name eth0 netns pod
    ip address add ${HOST}/24 dev host0
    ip link set host0 up
    ip -n pod link set lo up
    ip -n pod link set eth0 address 02:42:0a:09:03:02 addrgenmode none
    ip -n pod address add 10.9.3.2/24 dev eth0
    ip -n pod link set eth0 up
    ip -n pod route add default via ${HOST}`;
  await it.onHost(["sh", "-ec", script], { check: true });
  const up = () => it.onHost(["ip", "-n", "pod", "link", "show", "eth0"]);
  await waitFor(async () => / state UP /.test((await up()).stdout), {
    timeoutSeconds: 10,
    what: "eth0 to have its carrier",
  });
}

/** All in that namespace that a guest's network could have changed. */
async function describeNetwork(it: Containerd): Promise<string> {
  const script = `
    ip -d link; ip address; ip route; ip tuntap; tc qdisc; tc filter show dev eth0 ingress
    cat /proc/sys/net/ipv4/conf/*/forwarding; nft list ruleset`;
  const inside = ["ip", "netns", "exec", "pod", "sh", "-ec", script];
  return (await it.onHost(inside, { check: true })).stdout;
}
