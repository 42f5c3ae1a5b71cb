/** docker with `userns-remap`, which every container then has. */
import assert from "node:assert/strict";
import { readIdMaps } from "../../../lib/host/id_maps.ts";
import { busyboxFiles, startDocker } from "../../support/docker.ts";
import { guestImage } from "../../support/guest_images.ts";
import { nodeWithKernel, UNDESCRIBED } from "../../support/node_kernel.ts";
import { monitorOf, readStatus } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { uruncBinary } from "../../support/urunc.ts";
import { bothRuntimes, logsWith, NEEDS } from "./_common.ts";

/** Of the host: uid and gid 0 of containers. */
const FIRST = 1_700_000_000;

testIf("docker with userns-remap: the monitor is in the container's user namespace", {
  needs: [...NEEDS, "runc"],
  timeoutSeconds: 180,
}, async () => {
  await using scope = new Scope();
  const it = await startDocker(scope, { urunc: { path: await uruncBinary() } }, FIRST);
  const { docker, inspect } = it;
  await it.makeImage("guest", guestImage("tcg"));
  for (const [name, args, id] of [["root", [], 0], ["other", ["--user=5:6"], 5]] as const) {
    const run = ["run", "--detach", "--runtime=urunc", `--name=${name}`, ...args, "guest", "idle"];
    await docker(run, { check: true });
    await logsWith(it, name, "idle");
    const { Pid } = (await inspect(name)).State;
    const monitor = monitorOf(Pid);
    for (const pid of [Pid, monitor]) assert.equal(readStatus(pid).uids[0], FIRST + id);
    const mapping = [{ containerID: 0, hostID: FIRST, size: 65536 }];
    assert.deepEqual(readIdMaps(monitor), { uids: mapping, gids: mapping });
    await docker(["rm", "--force", name], { check: true });
  }
});

testIf("docker with userns-remap: an image's root is root over its files and volumes", {
  needs: [...NEEDS, "runc", "virtiofsd", "busybox", "apt-get", "dpkg-deb"],
  timeoutSeconds: 300,
}, async () => {
  await using scope = new Scope();
  const config = await nodeWithKernel(scope, UNDESCRIBED);
  const it = await startDocker(scope, await bothRuntimes(config), FIRST);
  const { docker, inspect } = it;
  const files = [...busyboxFiles(), { path: "/secret", content: "secret\n", mode: 0o600 }];
  await it.makeImage("any", [...files, { path: "/bin/chown", target: "busybox" }]);
  const script = "id -u; cat /secret; echo made >/data/$NAME; chown 33:34 /data/$NAME /secret; " +
    "busybox stat -c %u:%g /data/$NAME /secret";
  for (const runtime of ["path", "shim", "runc"]) {
    const options = [`--runtime=${runtime}`, `--name=${runtime}`, `--env=NAME=${runtime}`];
    const run = ["run", ...options, "--volume=data:/data", "any", "sh", "-c", script];
    const { code, stdout, stderr } = await docker(run, { timeoutSeconds: 120 });
    assert.equal(code, 0, stderr);
    assert.equal(stdout, "0\nsecret\n33:34\n33:34\n", runtime);
    const { UpperDir } = (await inspect(runtime)).GraphDriver.Data;
    const { uid, gid } = Deno.statSync(`${UpperDir}/secret`);
    assert.deepEqual([uid, gid], [FIRST + 33, FIRST + 34], runtime);
  }
  const { stdout } = await docker(["volume", "inspect", "--format={{.Mountpoint}}", "data"]);
  for (const name of ["path", "shim", "runc"]) {
    const { uid, gid } = Deno.statSync(`${stdout.trim()}/${name}`);
    assert.deepEqual([uid, gid], [FIRST + 33, FIRST + 34], name);
  }
});
