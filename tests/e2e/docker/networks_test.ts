/** A Linux guest of several networks, as docker connects it, beside an ordinary container of the same. */
import assert from "node:assert/strict";
import { busyboxFiles, UNDER_TEST } from "../../support/docker.ts";
import { linuxImage } from "../../support/guest_images.ts";
import { run, waitFor } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { logsWith, NEEDS, startWithUrunc } from "./_common.ts";

const NETWORKS = {
  front: { subnet: "10.88.6", options: ["--opt=com.docker.network.driver.mtu=1400"] },
  // Without a way out: no default route.
  back: { subnet: "10.88.7", options: ["--internal", "--ipv6", "--subnet=fd00:88:7::/64"] },
} as const;
type Network = keyof typeof NETWORKS;
const NAMES = Object.keys(NETWORKS) as Network[];

/** What a server says, for ever. */
const serve = (port: number, answer: string) =>
  `while :; do echo ${answer} | busybox nc -l -p ${port}; done`;

const LOOK = [
  "busybox ip -o link | busybox sed 's/^[0-9]*: //; s/@[^:]*//'",
  "busybox ip -o address | busybox sed 's/^[0-9]*: //'",
  "busybox ip route; busybox ip -6 route",
];

function script(peers: Record<Network, string>): string {
  const tries = NAMES.flatMap((name) => [
    `busybox ping -c 1 -W 5 ${peers[name]} >/dev/null && echo ping ${name}`,
    `echo tcp $(busybox nc -w 5 ${peers[name]} 7000 </dev/null)`,
  ]);
  return ["echo ==", ...LOOK, "echo ==", ...tries, "echo ready", serve(8000, "guest")].join("\n");
}

/**
 * What the container sees of its networks, less what differs between two kernels' interfaces. docker adds
 * these in any order.
 */
function networksIn(output: string): string[] {
  return output.split("==\n")[1]!.split("\n").filter((line) => line !== "").map((line) =>
    line.replace(/ (qdisc|qlen|state|mode|group) \S+/g, "").replace(/ link-netnsid \d+/, "")
      .replace(/NO-CARRIER,|,M-DOWN/, "").replace(/[ \\]{2,}/, " ").trimEnd()
  ).sort();
}

testIf("docker: a guest is in every network that its container is connected to", {
  needs: [...NEEDS, "busybox", "cpio", "apt-get", "nsenter", "ip"],
  timeoutSeconds: 400,
}, async () => {
  await using scope = new Scope();
  const it = await startWithUrunc(scope);
  const { docker, inspect } = it;
  const must = (...args: string[]) => docker(args, { check: true, timeoutSeconds: 120 });
  await it.makeImage("linux", await linuxImage(scope, "tcg", { moduleTree: true }));
  await it.makeImage("ordinary", busyboxFiles());
  const peers: Record<string, string> = {};
  for (const name of NAMES) {
    const { subnet, options } = NETWORKS[name];
    await must("network", "create", `--subnet=${subnet}.0/24`, ...options, name);
    peers[name] = `${subnet}.9`;
    await must(
      ...["run", "--detach", `--name=peer-${name}`, `--network=${name}`, `--ip=${peers[name]}`],
      ...["--env=PATH=/bin", "ordinary", "/bin/busybox", "sh", "-c", serve(7000, name)],
    );
  }

  const found: Record<string, string[]> = {};
  for (const runtime of ["runc", "urunc", UNDER_TEST]) {
    const name = `it-${runtime.replaceAll(".", "-")}`;
    await must(
      ...["create", `--name=${name}`, `--runtime=${runtime}`, "--network=front", "--env=PATH=/bin"],
      ...[`--ip=${NETWORKS.front.subnet}.5`, "--mac-address=02:42:0a:58:06:05"],
      ...[runtime === "runc" ? "ordinary" : "linux", "busybox", "sh", "-c"],
      script(peers as Record<Network, string>),
    );
    await must(
      "network",
      "connect",
      `--ip=${NETWORKS.back.subnet}.5`,
      "--ip6=fd00:88:7::5",
      "back",
      name,
    );
    await must("start", name);
    const output = await logsWith(it, name, "ready");
    for (const network of NAMES) {
      assert.ok(output.includes(`ping ${network}\ntcp ${network}\n`), `${runtime}: ${output}`);
      const ask = () =>
        docker([
          ...["exec", `peer-${network}`, "/bin/busybox", "nc"],
          ...[`${NETWORKS[network].subnet}.5`, "8000"],
        ]);
      // It is not there yet, or between two connections.
      await waitFor(async () => (await ask()).stdout === "guest\n", {
        timeoutSeconds: 30,
        what: `an answer of ${runtime} in ${network}`,
      });
    }
    found[runtime] = networksIn(output);
    if (runtime !== "runc") {
      // The container's process has the namespace with the taps; the monitor, its child, has another.
      const { Pid } = (await inspect(name)).State;
      const links = await run(["nsenter", "--target", `${Pid}`, "--net", "ip", "-o", "link"]);
      assert.match(links.stdout, /: tap0_urunc: .*\n.*: tap1_urunc: /s);
    }
    await must("rm", "--force", name);
  }
  assert.match(found.runc!.join("\n"), /^eth0: .*mtu 1400 [^]*^eth1: .*mtu 1500 /m);
  assert.deepEqual(found.urunc!.map(withoutRandom), found.runc!.map(withoutRandom));
  assert.deepEqual(found[UNDER_TEST]!.map(withoutRandom), found.runc!.map(withoutRandom));
});

/**
 * docker makes up a MAC address for the second interface, and a link-local address comes of it, for which
 * the container's kernel still looks for duplicates, and the guest's never does.
 */
function withoutRandom(line: string): string {
  return /eth1/.test(line)
    ? line.replace(/link\/ether \S+/, "link/ether")
      .replace(/fe80:\S+(\/64 scope link) (flags 02|tentative)/, "fe80::$1")
    : line;
}
