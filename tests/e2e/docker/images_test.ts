/** Images that know nothing of this runtime, as Linux guests with the node's kernel. */
import assert from "node:assert/strict";
import { debianServices } from "../../support/debian_image.ts";
import { type Docker, startDocker } from "../../support/docker.ts";
import { nodeWithKernel, UNDESCRIBED } from "../../support/node_kernel.ts";
import { waitFor } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { uruncBinary } from "../../support/urunc.ts";
import { NEEDS } from "./_common.ts";

const IMAGES = {
  needs: [...NEEDS, "virtiofsd", "busybox", "apt-get", "dpkg-deb"],
  timeoutSeconds: 600,
};

const USER = "--user=1000:1000";

/** Docker with `path`, an OCI runtime, and `shim`, both with the node's kernel. */
async function startWithKernel(scope: Scope): Promise<Docker> {
  const config = await nodeWithKernel(scope, UNDESCRIBED);
  const path = await uruncBinary();
  const it = await startDocker(scope, {
    path: { path, runtimeArgs: ["--config", config] },
    shim: {
      runtimeType: "io.containerd.urunc.v2",
      options: { TypeUrl: "runtimeoptions.v1.Options", ConfigPath: config },
    },
  });
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
    const data = await scope.temporaryDirectory("data");
    await Deno.chown(data, 1000, 1000);
    await Deno.writeTextFile(`${data}/index.html`, "served\n");
    const start = ["run", "--detach", `--runtime=${runtime}`, USER, `--volume=${data}:/data`];

    await docker([
      ...[...start, "--name=redis", "services"],
      ...["redis-server", "--dir", "/data", "--appendonly", "yes", "--protected-mode", "no"],
    ], { check: true, timeoutSeconds: 120 });
    const redis = (...words: string[]) => docker(["exec", "redis", "redis-cli", ...words]);
    const answers = () =>
      waitFor(async () => (await redis("ping")).stdout === "PONG\n", {
        timeoutSeconds: 90,
        what: "redis",
        intervalMilliseconds: 500,
      });
    await answers();
    assert.equal((await redis("set", "key", "kept")).stdout, "OK\n");
    await docker(["restart", "--time=30", "redis"], { check: true, timeoutSeconds: 120 });
    await answers();
    assert.equal((await redis("get", "key")).stdout, "kept\n");
    await docker(["stop", "--time=30", "redis"], { check: true, timeoutSeconds: 90 });
    assert.equal((await inspect("redis")).State.ExitCode, 0);

    const nginx = "daemon off; pid /tmp/pid; error_log stderr; events {} " +
      "http { access_log off; server { listen 8080; root /data; } " +
      ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((it) =>
        `${it}_temp_path /tmp/${it};`
      )
        .join(" ") +
      " }";
    await Deno.writeTextFile(`${data}/nginx.conf`, nginx.replace("daemon off; ", ""));
    await docker([
      ...[...start, "--name=nginx", "services"],
      ...["nginx", "-e", "stderr", "-c", "/data/nginx.conf", "-g", "daemon off;"],
    ], { check: true, timeoutSeconds: 120 });
    const { IPAddress } = (await inspect("nginx")).NetworkSettings;
    await waitFor(async () => {
      const got = await onHost(["busybox", "wget", "-qO-", `http://${IPAddress}:8080/index.html`]);
      return got.stdout === "served\n";
    }, { timeoutSeconds: 90, what: "nginx", intervalMilliseconds: 500 });
  });
}
