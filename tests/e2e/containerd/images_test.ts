/** Images that know nothing of this runtime, as ctr's Linux guests with the node's kernel. */
import assert from "node:assert/strict";
import { CONTAINERD_NEEDS, startContainerd } from "../../support/containerd.ts";
import { busyboxFiles } from "../../support/docker.ts";
import { nodeWithKernel, UNDESCRIBED } from "../../support/node_kernel.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { ORDINARY } from "./_common.ts";

testIf("ctr run: any image is a guest, and its volumes are its own", {
  needs: [...CONTAINERD_NEEDS, "qemu-system-x86_64", "virtiofsd", "busybox", "apt-get"],
  timeoutSeconds: 300,
}, async () => {
  await using scope = new Scope();
  const config = await nodeWithKernel(scope, UNDESCRIBED);
  const it = await startContainerd(scope, { uruncConfiguration: await Deno.readTextFile(config) });
  await it.makeImage(ORDINARY, busyboxFiles());
  const data = await scope.temporaryDirectory("data");
  await Deno.chown(data, 1000, 1000);
  const script = "id -u; echo made >/data/file; cat /proc/mounts; exit 3";
  const { code, stdout, stderr } = await it.ctrRun(
    ["--rm", "--user=1000:1000", `--mount=type=bind,src=${data},dst=/data,options=rbind:rw`],
    ORDINARY,
    "any",
    ["sh", "-c", script],
  );
  assert.equal(code, 3, stderr);
  assert.match(stdout, /^1000\n/);
  assert.match(stdout, / \/ virtiofs /);
  assert.match(stdout, / \/data virtiofs /);
  assert.equal(await Deno.readTextFile(`${data}/file`), "made\n");
});
