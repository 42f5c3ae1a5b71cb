/** Images that know nothing of this runtime, as Linux guests with the node's kernel. */
import assert from "node:assert/strict";
import { debianServices } from "../../support/debian_image.ts";
import { type Docker, startDocker } from "../../support/docker.ts";
import { nodeWithKernel, UNDESCRIBED } from "../../support/node_kernel.ts";
import { Scope } from "../../support/scope.ts";
import { checkService, SERVICE_USER, SERVICES, servicesOf } from "../../support/services.ts";
import { testIf } from "../../support/skip.ts";
import { bothRuntimes, NEEDS } from "./_common.ts";

const IMAGES = {
  needs: [...NEEDS, "virtiofsd", "busybox", "apt-get", "dpkg-deb"],
  timeoutSeconds: 600,
};

const USER = "--user=1000:1000";

/** Docker with `path`, an OCI runtime, and `shim`, both with the node's kernel. */
async function startWithKernel(scope: Scope): Promise<Docker> {
  const config = await nodeWithKernel(scope, UNDESCRIBED);
  const it = await startDocker(scope, await bothRuntimes(config));
  await it.docker(["import", await debianServices(), "services"], { check: true });
  return it;
}

for (const runtime of ["path", "shim"]) {
  testIf(
    `docker: any image is a guest, and its volumes are its own (${runtime})`,
    IMAGES,
    async () => {
      await using scope = new Scope();
      const { docker } = await startWithKernel(scope);
      const files = await scope.temporaryDirectory("files");
      await Deno.writeTextFile(`${files}/conf`, "configured\n");
      await docker(["volume", "create", "data"], { check: true });
      const { stdout } = await docker(["volume", "inspect", "--format={{.Mountpoint}}", "data"]);
      await Deno.chown(stdout.trim(), 1000, 1000);
      const run = ["run", "--rm", `--runtime=${runtime}`, USER, "--volume=data:/data"];

      const script = "id -u; cat /etc/app.conf; (echo x >/etc/app.conf) 2>/dev/null || echo ro; " +
        "touch /memory/x && echo tmpfs; pwd; echo first >/data/file; exit 3";
      const first = await docker([
        ...[
          ...run,
          `--volume=${files}/conf:/etc/app.conf:ro`,
          "--tmpfs=/memory",
          "--workdir=/work",
        ],
        ...["--read-only", "services", "sh", "-c", script],
      ], { timeoutSeconds: 120 });
      assert.equal(first.code, 3, first.stderr);
      assert.deepEqual(first.stdout.split("\n"), [
        ...["1000", "configured", "ro", "tmpfs", "/work", ""],
      ]);
      const program = "import zlib; print(open('/data/file').read(), zlib.crc32(b'x'))";
      const second = await docker([...run, "services", "python3.13", "-c", program], {
        timeoutSeconds: 120,
      });
      assert.equal(second.stdout, "first\n 2363233923\n", second.stderr);
    },
  );

  testIf(`docker: services keep what is in their volumes (${runtime})`, IMAGES, async () => {
    await using scope = new Scope();
    const { docker, onHost, inspect } = await startWithKernel(scope);
    for (const name of servicesOf(runtime === "path" ? "nginx" : "redis")) {
      const { layer, command } = SERVICES[name];
      const change = `--change=USER ${SERVICE_USER}`;
      await docker(["import", change, await layer(), name], { check: true });
      await docker(["volume", "create", `${name}-data`], { check: true });
      const { stdout } = await docker([
        ...["volume", "inspect", "--format={{.Mountpoint}}", `${name}-data`],
      ]);
      await Deno.chown(stdout.trim(), 1000, 1000);
      await checkService(name, {
        start: () =>
          docker([
            ...["run", "--detach", `--runtime=${runtime}`, `--name=${name}`],
            ...[`--volume=${name}-data:/data`, name, ...command],
          ], { check: true, timeoutSeconds: 120 }),
        exec: (command, options) => docker(["exec", name, ...command], options),
        restart: () => docker(["restart", "--time=30", name], { check: true, timeoutSeconds: 120 }),
      });
      if (name === "nginx") {
        const { IPAddress } = (await inspect("nginx")).NetworkSettings;
        const got = await onHost(["busybox", "wget", "-qO-", `http://${IPAddress}:8080/kept`]);
        assert.equal(got.stdout, "kept\n");
      }
      await docker(["stop", "--time=30", name], { check: true, timeoutSeconds: 90 });
      if (name === "redis") assert.equal((await inspect("redis")).State.ExitCode, 0);
    }
  });
}
