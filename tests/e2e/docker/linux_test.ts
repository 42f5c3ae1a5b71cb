/** A Linux guest on docker's bridge: the network both ways, and nothing that outlives it. */
import assert from "node:assert/strict";
import { linuxImage } from "../../support/guest_images.ts";
import { isAlive } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { AS_NOBODY, assertIdentity, logsWith, NEEDS, startWithUrunc } from "./_common.ts";

/** IPv6 is there a little after the interface is; then the other direction: the bridge's addresses. */
const GUEST_SCRIPT = `
until ip -6 route | grep -q ^default; do sleep 0.1; done
ip -6 address show dev eth0; ip -6 route; cat /etc/resolv.conf
echo "v4: $(ping -c 1 -W 5 10.88.4.1 | grep -o '1 packets received')"
echo "v6: $(ping -6 -c 1 -W 5 fd00:88:4::1 | grep -o '1 packets received')"
`;

testIf(
  "docker with urunc: a Linux guest under tcg is reached over IPv4 and IPv6 on docker's bridge",
  {
    needs: [...NEEDS, "busybox", "cpio", "apt-get"],
    timeoutSeconds: 300,
  },
  async () => {
    await using scope = new Scope();
    const it = await startWithUrunc(scope);
    const { docker, inspect, onHost } = it;
    await it.makeImage(
      "linux",
      await linuxImage(scope, "tcg", { http: "served by the guest", script: GUEST_SCRIPT }),
    );

    const network = ["--ipv6", "--subnet=10.88.4.0/24", "--subnet=fd00:88:4::/64", "dual"];
    await docker(["network", "create", ...network], { check: true });
    const id = (await docker([
      "run",
      "--detach",
      "--runtime=urunc",
      "--hostname=penguin",
      "--network=dual",
      ...AS_NOBODY,
      "linux",
      "/init",
    ], { check: true })).stdout.trim();
    const logs = await logsWith(it, id, "the guest is up");
    assert.match(logs, /v4: 1 packets received/);
    assert.match(logs, /v6: 1 packets received/);
    assert.match(logs, /default via fd00:88:4::1 /);
    assert.match(logs, /nameserver /);

    const { State, NetworkSettings } = await inspect(id);
    await assertIdentity(it, id, State.Pid);
    const { IPAddress, GlobalIPv6Address } = NetworkSettings.Networks.dual!;
    // What was taken from the container is what the guest has, with no second opinion.
    assert.match(logs, new RegExp(`inet6 ${GlobalIPv6Address}/64 scope global`));
    for (
      const [address, host] of [[IPAddress, IPAddress], [
        GlobalIPv6Address,
        `[${GlobalIPv6Address}]`,
      ]]
    ) {
      await onHost(["ping", "-c", "3", "-W", "10", address!], { check: true });
      const page = await onHost(["busybox", "wget", "-q", "-O", "-", `http://${host}/`], {
        check: true,
      });
      assert.equal(page.stdout, "served by the guest");
      // Longer than a frame: it goes in fragments, and all of them come back.
      await onHost(["ping", "-c", "1", "-W", "10", "-s", "4000", address!], { check: true });
    }

    await docker(["stop", "--time=10", id], { check: true });
    assert.ok(!isAlive(State.Pid));
    await docker(["rm", id], { check: true });
    await docker(["network", "rm", "dual"], { check: true });
    const links = (await onHost(["ip", "-o", "link"])).stdout.trim().split("\n");
    assert.deepEqual(links.map((line) => line.split(":")[1]?.trim()), ["lo", "docker0"]);
  },
);
