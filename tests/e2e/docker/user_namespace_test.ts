/** docker with `userns-remap`, which every container then has. */
import assert from "node:assert/strict";
import { readIdMaps } from "../../../lib/host/id_maps.ts";
import { startDocker } from "../../support/docker.ts";
import { guestImage } from "../../support/guest_images.ts";
import { monitorOf, readStatus } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { uruncBinary } from "../../support/urunc.ts";
import { logsWith, NEEDS } from "./_common.ts";

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
