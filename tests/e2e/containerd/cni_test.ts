/** `ctr run --cni`: real plugins, in the network namespace of the pid that the shim returned. */
import assert from "node:assert/strict";
import type { Containerd } from "../../support/containerd.ts";
import { parseReport } from "../../support/double.ts";
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
import { missingPlugins, PLUGINS } from "./_cri.ts";

const GATEWAY = "10.89.9.1";

testIf("ctr run --cni: the plugins find the guest's namespace, and their address goes with it", {
  needs: [...DOUBLE_NEEDS, "iptables"],
  skip: missingPlugins(),
}, async () => {
  await using scope = new Scope();
  const it = await startWithDouble(scope);
  await configureCni(it);

  const run = it.ctrRun(["--rm", "--cni"], GUEST, "guest", ["idle"]);
  const pid = await waitForStatus(it, "guest", "RUNNING");
  const inside = await namespaceOf(it, pid);
  assert.match(inside, /\beth0\b[^]*inet 10\.89\.9\.\d+\/24/);
  assert.deepEqual(await leases(it), [/inet (10\.89\.9\.\d+)/.exec(inside)![1]]);
  // It came after the guest was planned, and that is said.
  assert.match(it.log(), /guest: the container's network was attached after it was created/);

  // A process that joins the namespace has the network, as in a container of runc.
  const joined = [`--with-ns=network:/proc/${pid}/ns/net`, "--rm"];
  const ping = ["/bin/ping", "-c", "1", "-W", "5", GATEWAY];
  const sidecar = await it.ctrRun(joined, ORDINARY, "sidecar", ping);
  assert.match(sidecar.stdout, /1 packets received/, sidecar.stderr);

  await it.ctr(["task", "kill", "--signal", "KILL", "guest"], { check: true });
  assert.equal((await run).code, 137);
  assert.deepEqual(await leases(it), []);
  await assertNothingLeft(it);
});

testIf("a namespace that CNI has set up before is the guest's network", {
  needs: [...DOUBLE_NEEDS, "iptables"],
  skip: missingPlugins(),
}, async () => {
  await using scope = new Scope();
  const it = await startWithDouble(scope);
  await configureCni(it);
  // The first container's network, which the guest then has in its place.
  await it.ctrRun(["--detach", "--cni"], ORDINARY, "first", ["/bin/sleep", "1000"], {
    check: true,
  });
  const pid = await waitForStatus(it, "first", "RUNNING");
  const joined = [`--with-ns=network:/proc/${pid}/ns/net`, "--rm", "--user=65534:65534"];
  const { stdout } = await it.ctrRun(joined, GUEST, "guest", ["report"], { check: true });
  const mac = /\beth0\b[^]*?ether ([0-9a-f:]+)/.exec(await namespaceOf(it, pid))![1];
  const { argv } = parseReport(stdout);
  assert.ok(argv.some((it) => it.includes(`netdev=net0,mac=${mac}`)), argv.join(" "));
  assert.doesNotMatch(it.log(), /attached after it was created/);
});

/** Where `ctr` looks: /etc/cni/net.d and /opt/cni/bin, of the daemon's mount namespace. */
async function configureCni(it: Containerd): Promise<void> {
  const configuration = JSON.stringify({
    cniVersion: "0.4.0",
    name: "test",
    plugins: [{
      type: "bridge",
      bridge: "cni-test",
      isGateway: true,
      ipam: {
        type: "host-local",
        dataDir: `${it.directory}/ipam`,
        ranges: [[{ subnet: "10.89.9.0/24" }]],
        routes: [{ dst: "0.0.0.0/0" }],
      },
    }],
  });
  const script = `
    mkdir -p ${it.directory}/net.d /etc/cni/net.d
    mount -t tmpfs tmpfs /opt
    mkdir -p /opt/cni
    ln -s ${PLUGINS} /opt/cni/bin
    printf %s "$1" >${it.directory}/net.d/10-test.conflist
    mount --bind ${it.directory}/net.d /etc/cni/net.d`;
  await it.onHost(["sh", "-ec", script, "sh", configuration], { check: true });
}

/** The addresses in a process's network namespace. */
async function namespaceOf(it: Containerd, pid: number): Promise<string> {
  const command = ["nsenter", "--net", "--target", String(pid), "ip", "address"];
  return (await it.onHost(command, { check: true })).stdout;
}

/** What host-local has given, in files that are named by the address. */
async function leases(it: Containerd): Promise<string[]> {
  const { stdout } = await it.onHost(["ls", `${it.directory}/ipam/test`]);
  return stdout.split("\n").filter((name) => /^\d/.test(name));
}
