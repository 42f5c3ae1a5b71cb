/** Images that know nothing of this runtime, as ctr's Linux guests with the node's kernel. */
import assert from "node:assert/strict";
import { type Containerd, CONTAINERD_NEEDS, startContainerd } from "../../support/containerd.ts";
import { busyboxFiles } from "../../support/docker.ts";
import { FIRST_ID } from "../../support/host_ids.ts";
import { nodeWithKernel, UNDESCRIBED } from "../../support/node_kernel.ts";
import { Pod } from "../../support/pod.ts";
import { Scope } from "../../support/scope.ts";
import {
  checkService,
  EVERY,
  SERVICE_USER,
  type ServiceName,
  SERVICES,
  servicesOf,
} from "../../support/services.ts";
import { testIf } from "../../support/skip.ts";
import { ORDINARY, waitForStatus } from "./_common.ts";
import { CRI_NEEDS, missingPlugins, startWithCri } from "./_cri.ts";

const IMAGES = {
  needs: [...CONTAINERD_NEEDS, "qemu-system-x86_64", "virtiofsd", "busybox", "apt-get", "dpkg-deb"],
  timeoutSeconds: 600,
};

testIf("ctr run: any image is a guest, and its volumes are its own", IMAGES, async () => {
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

/** How files are shared: as the container's user's, or as their owners'; the latter where one is enough. */
const MODES = Deno.env.has(EVERY) ? ["user", "userns"] as const : ["userns"] as const;

/** The configuration of a node with a kernel for images that say nothing of guests. */
async function configurationOf(scope: Scope, undescribed: string, mode: typeof MODES[number]) {
  const ids = mode === "user" ? "" : `[ids]\nrange = "${FIRST_ID}-${FIRST_ID + 65536}"\n`;
  const path = await nodeWithKernel(scope, `${undescribed}\n${ids}`);
  return `${await Deno.readTextFile(path)}file_access = "${mode}"\n`;
}

/** Imports a service's image, and makes the directory that is its volume. */
async function prepare(scope: Scope, it: Containerd, name: ServiceName) {
  const image = `docker.io/library/${name}:latest`;
  await it.importLayer(image, await SERVICES[name].layer(), { User: SERVICE_USER });
  const data = await scope.temporaryDirectory("data");
  await Deno.chown(data, 1000, 1000);
  return { image, data };
}

for (const mode of MODES) {
  testIf(
    `ctr: services keep what is in their volumes (file_access = "${mode}")`,
    IMAGES,
    async () => {
      await using scope = new Scope();
      const uruncConfiguration = await configurationOf(scope, UNDESCRIBED, mode);
      const it = await startContainerd(scope, { uruncConfiguration });
      for (const name of servicesOf("busybox")) {
        const { image, data } = await prepare(scope, it, name);
        const mount = `--mount=type=bind,src=${data},dst=/data,options=rbind:rw`;
        let count = 0;
        const end = async () => {
          await it.ctr(["task", "kill", name], { check: true });
          await waitForStatus(it, name, "STOPPED");
          await it.ctr(["task", "delete", name]);
        };
        await checkService(name, {
          start: () =>
            it.ctrRun(["--detach", "--null-io", mount], image, name, SERVICES[name].command, {
              check: true,
              timeoutSeconds: 120,
            }),
          exec: (command, options) =>
            it.ctr(["task", "exec", "--exec-id", `${count++}`, name, ...command], options),
          async restart() {
            await end();
            await it.ctr(["task", "start", "--detach", "--null-io", name], { check: true });
          },
        });
        await end();
        await it.ctr(["containers", "delete", name], { check: true });
      }
    },
  );

  testIf(`CRI: services keep what is in their volumes (file_access = "${mode}")`, {
    ...IMAGES,
    needs: [...IMAGES.needs, ...CRI_NEEDS],
    skip: missingPlugins(),
  }, async () => {
    await using scope = new Scope();
    // The sandbox is no guest.
    const undescribed = `[guests]\nundescribed = "linux"`;
    const configuration = await configurationOf(scope, undescribed, mode);
    const it = await startWithCri(scope, false, { configuration });
    const pod = await Pod.run(scope, it);
    for (const name of servicesOf("postgres")) {
      const { image, data } = await prepare(scope, it, name);
      const mounts = [{ containerPath: "/data", hostPath: data }];
      const { command } = SERVICES[name];
      const start = () => pod.start(name, { image, command, mounts });
      let id = "";
      await checkService(name, {
        start: async () => id = await start(),
        // An error where others have an exit code, as while the guest is not up.
        exec: (command) =>
          pod.cri.exec(id, command, 600n).then(
            ({ exitCode, ...streams }) => ({ code: exitCode, ...streams }),
            (error: Error) => ({ code: 1, stdout: "", stderr: error.message }),
          ),
        // As the kubelet does: another container of the pod.
        async restart() {
          await pod.stopAndRemove(id, 30);
          id = await start();
        },
      });
      await pod.stopAndRemove(id, 30);
    }
    await pod.remove();
  });
}
