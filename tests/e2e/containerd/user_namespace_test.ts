/** A pod with `hostUsers: false`, as the kubelet has containerd make it. */
import assert from "node:assert/strict";
import { readIdMaps } from "../../../lib/host/id_maps.ts";
import { nodeWithKernel } from "../../support/node_kernel.ts";
import { Pod, runAs, usersFrom } from "../../support/pod.ts";
import { childrenOf, monitorOf, readCommandLine, readStatus } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { busyboxFiles } from "../../support/docker.ts";
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

testIf("CRI: root of an image in a pod with hostUsers: false is root over its files", {
  needs: [...CRI_NEEDS, "qemu-system-x86_64", "virtiofsd", "busybox", "apt-get", "dpkg-deb"],
  skip: missingPlugins(),
  timeoutSeconds: 300,
}, async () => {
  await using scope = new Scope();
  const config = await nodeWithKernel(scope, `[guests]\nundescribed = "linux"`);
  const it = await startWithCri(scope, false, { configuration: await Deno.readTextFile(config) });
  const image = "docker.io/library/any:latest";
  const files = [...busyboxFiles(), { path: "/secret", content: "secret\n", mode: 0o600 }];
  await it.makeImage(image, [...files, { path: "/bin/chown", target: "busybox" }]);
  const data = await scope.temporaryDirectory("data");
  await Deno.chown(data, FIRST, FIRST);
  const mounts = [{ containerPath: "/data", hostPath: data }];
  // As the kubelet has it unless processes are shared: NamespaceMode CONTAINER.
  const { namespaces } = usersFrom(FIRST);
  const linux = { securityContext: { namespaces: { ...namespaces, pid: 1 } } };
  const script = "id -u; cat /secret; echo made >/data/$NAME; chown 33:34 /data/$NAME /secret; " +
    "busybox stat -c %u:%g /secret /data/$NAME; busybox stat -c %u:%g /; echo done; sleep 1000";
  const lines: string[] = [];
  // The pod's, which a guest has, too, and under runc.
  for (const handler of ["runc", "urunc"]) {
    const pod = await Pod.run(scope, it, { name: handler, handler, firstUser: FIRST });
    const envs = [{ key: "NAME", value: handler }];
    const command = ["sh", "-c", script];
    const id = await pod.start("any", { image, command, mounts, envs, linux });
    lines.push(await pod.logsWith("any", "done", 120));
    if (handler === "urunc") {
      const pid = await pod.cri.pid(id);
      const server = childrenOf(pid)
        .find((it) => readCommandLine(it)[0] === "/usr/libexec/virtiofsd")!;
      const mapping = [{ containerID: 0, hostID: FIRST, size: 65536 }];
      for (const process of [server, monitorOf(pid)]) {
        assert.equal(readStatus(process).uids[0], FIRST);
        assert.deepEqual(readIdMaps(process), { uids: mapping, gids: mapping });
      }
    }
    const { uid, gid } = Deno.statSync(`${data}/${handler}`);
    assert.deepEqual([uid, gid], [FIRST + 33, FIRST + 34], handler);
    await pod.stopAndRemove(id, 0);
    await pod.remove();
  }
  assert.equal(lines[1], lines[0]);
  assert.match(lines[0]!, /^0\nsecret\n33:34\n33:34\n0:0\ndone\n$/);
});
