/** A bare node, from `doctor` to a guest and back: what docker's and podman's users do once. */
import assert from "node:assert/strict";
import type { Line } from "../../../lib/doctor/checks/types.ts";
import { run } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { nodeDocker } from "./_docker.ts";
import { AS_NOBODY, makeGuestImage } from "./_guests.ts";

const needs = ["root", "kvm", "docker", "podman"];

/** What the test's node has set up already. */
const SET_UP = ["/etc/docker/daemon.json", "/usr/local/bin/urunc"];

/** All files of the places that install writes to, with modes, targets and contents. */
async function listFiles(): Promise<string> {
  const places = ["/etc/docker", "/etc/containerd", "/etc/containers", "/usr/local/bin"];
  const script = 'for it in "$@"; do [ -d "$it" ] || continue; find "$it" -printf "%p %M %l\\n"; ' +
    'find "$it" -type f -exec sha256sum {} +; done | sort';
  return (await run(["sh", "-c", script, "sh", ...places], { check: true })).stdout;
}

testIf("a bare node: doctor, install, a guest in docker, uninstall; nothing is left", {
  needs,
  timeoutSeconds: 400,
}, async () => {
  await using scope = new Scope();
  const aside = await scope.temporaryDirectory("node");
  const restart = async () => {
    // docker's unit may start three times a minute (StartLimitBurst=, systemd.unit(5)), and install and
    // uninstall restart it, too: the count begins anew.
    await run(["systemctl", "reset-failed", "docker"], { check: true });
    await run(["systemctl", "restart", "docker"], { check: true, timeoutSeconds: 120 });
  };
  // Done last, when the files are back.
  scope.defer("restart docker", restart);
  const urunc = `${aside}/urunc`;
  await run(["cp", "--dereference", "/usr/local/bin/urunc", urunc], { check: true });
  for (const path of SET_UP) {
    await run(["mv", path, `${aside}/${encodeURIComponent(path)}`], { check: true });
    scope.defer(`put ${path} back`, async () => {
      await run(["mv", `${aside}/${encodeURIComponent(path)}`, path], { check: true });
    });
  }
  const before = await listFiles();
  await restart();

  const examine = async (): Promise<Line[]> =>
    JSON.parse((await run([urunc, "doctor", "--json"], { timeoutSeconds: 60 })).stdout).lines;
  const ofDocker = (lines: Line[]) => lines.filter(({ check }) => check === "docker");
  const [missing] = ofDocker(await examine());
  assert.equal(missing!.fix, "urunc install --docker --restart");

  await run([urunc, ...missing!.fix!.split(" ").slice(1), "--podman"], {
    check: true,
    timeoutSeconds: 180,
  });
  assert.deepEqual(ofDocker(await examine()).map(({ status }) => status), ["ok"]);

  const it = nodeDocker(scope);
  await makeGuestImage(it);
  const hello = [
    "run",
    "--rm",
    "--runtime=urunc",
    ...AS_NOBODY,
    "guest",
    "hello",
    "Installed",
    "0",
  ];
  const result = await it.docker(hello);
  assert.equal(result.stdout.replaceAll("\r", ""), "Installed\n", result.stderr);
  const podman = await run([
    "podman",
    "--runtime=urunc",
    "info",
    "--format={{.Host.OCIRuntime.Path}}",
  ]);
  assert.equal(podman.stdout.trim(), "/usr/local/bin/urunc", podman.stderr);

  await run(["/usr/local/bin/urunc", "uninstall", "--restart"], {
    check: true,
    timeoutSeconds: 180,
  });
  assert.equal(await listFiles(), before);
  assert.notEqual((await it.docker(hello)).code, 0);
});
