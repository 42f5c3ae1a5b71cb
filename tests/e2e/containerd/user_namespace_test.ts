/** A pod with `hostUsers: false`, as the kubelet has containerd make it. */
import assert from "node:assert/strict";
import { readIdMaps } from "../../../lib/host/id_maps.ts";
import { Pod, runAs, usersFrom } from "../../support/pod.ts";
import { monitorOf, readStatus } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { GUEST, ORDINARY } from "./_common.ts";
import { CRI_NEEDS, missingPlugins, startWithCri } from "./_cri.ts";

/** Of the host: the pod's uid and gid 0. */
const FIRST = 1_700_000_000;

testIf("CRI: a guest of a pod with hostUsers: false is in the pod's user namespace", {
  needs: CRI_NEEDS,
  skip: missingPlugins(),
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const it = await startWithCri(scope);
  const pod = await Pod.run(scope, it, { firstUser: FIRST });
  const { securityContext } = runAs(5, 6);
  const linux = { securityContext: { ...securityContext, ...usersFrom(FIRST) } };
  const guest = await pod.start("guest", { image: GUEST, args: ["print up; idle"], linux });
  await pod.logsWith("guest", "up");
  const pid = await pod.cri.pid(guest);
  const monitor = monitorOf(pid);
  for (const process of [pid, monitor]) {
    const { uids, gids, capabilities } = readStatus(process);
    assert.deepEqual([uids[0], gids[0]], [FIRST + 5, FIRST + 6]);
    assert.equal(capabilities.bounding, 0n);
  }
  const sidecar = await pod.start("sidecar", {
    image: ORDINARY,
    command: ["/bin/sh", "-c", "echo beside; exec sleep 1000"],
    linux,
  });
  await pod.logsWith("sidecar", "beside");
  const namespaceOf = (it: number) => Deno.readLinkSync(`/proc/${it}/ns/user`);
  assert.equal(namespaceOf(monitor), namespaceOf(await pod.cri.pid(sidecar)));
  // The pod shares one, and the monitor is the first process of its own below it.
  const pids = /^NSpid:.*/m.exec(Deno.readTextFileSync(`/proc/${monitor}/status`))![0];
  assert.match(pids, /^NSpid:(\t\d+){2}\t1$/);
  const mapping = [{ containerID: 0, hostID: FIRST, size: 65536 }];
  assert.deepEqual(readIdMaps(monitor), { uids: mapping, gids: mapping });
  await pod.stopAndRemove(guest, 0);
  await pod.stopAndRemove(sidecar, 0);
  await pod.remove();
});
