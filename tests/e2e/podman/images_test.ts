/** Images that know nothing of this runtime, as podman's Linux guests with the node's kernel. */
import assert from "node:assert/strict";
import { debianServices } from "../../support/debian_image.ts";
import { nodeWithKernel, UNDESCRIBED } from "../../support/node_kernel.ts";
import { PODMAN_NEEDS, startPodman } from "../../support/podman.ts";
import { Scope } from "../../support/scope.ts";
import { checkService, SERVICE_USER, SERVICES, servicesOf } from "../../support/services.ts";
import { testIf } from "../../support/skip.ts";
import { uruncBinary } from "../../support/urunc.ts";

const IMAGES = {
  needs: [...PODMAN_NEEDS, "qemu-system-x86_64", "virtiofsd", "busybox", "apt-get", "dpkg-deb"],
  timeoutSeconds: 600,
};

testIf("podman: any image is a guest, and its volumes are its own", IMAGES, async () => {
  await using scope = new Scope();
  const config = await nodeWithKernel(scope, UNDESCRIBED);
  const { podman, run } = await startPodman(scope, await uruncBinary(), [`config=${config}`]);
  await podman(["import", await debianServices(), "services"], { check: true });
  await podman(["volume", "create", "--opt=o=uid=1000,gid=1000", "data"], { check: true });
  const { stdout: place } = await podman(["volume", "inspect", "--format={{.Mountpoint}}", "data"]);
  await Deno.chown(place.trim(), 1000, 1000);
  const files = await scope.temporaryDirectory("files");
  await Deno.writeTextFile(`${files}/conf`, "configured\n");
  const options = ["--rm", "--user=1000:1000", "--volume=data:/data"];
  // podman writes the names when the container has been created.
  const script = "grep -c localhost /etc/hosts; " +
    "id -u; cat /etc/app.conf; (echo x >/etc/app.conf) 2>/dev/null || echo ro; " +
    "touch /memory/x && echo tmpfs; pwd; echo first >/data/file; exit 3";
  const first = await run([
    ...[...options, `--volume=${files}/conf:/etc/app.conf:ro`, "--tmpfs=/memory"],
    ...["--workdir=/data", "services", "sh", "-c", script],
  ], { timeoutSeconds: 120 });
  assert.equal(first.code, 3, first.stderr);
  const lines = ["1", "1000", "configured", "ro", "tmpfs", "/data", ""];
  assert.deepEqual(first.stdout.split("\n"), lines);
  const program = "print(open('/data/file').read(), end='')";
  const second = await run([...options, "--read-only", "services", "python3.13", "-c", program], {
    timeoutSeconds: 120,
  });
  assert.equal(second.stdout, "first\n", second.stderr);
});

testIf("podman --uidmap: root of an image is root over its files and volumes", IMAGES, async () => {
  await using scope = new Scope();
  const config = await nodeWithKernel(scope, UNDESCRIBED);
  const { podman, run } = await startPodman(scope, await uruncBinary(), [`config=${config}`]);
  await podman(["import", await debianServices(), "services"], { check: true });
  const [given, mapped] = [
    await scope.temporaryDirectory("x"),
    await scope.temporaryDirectory("x"),
  ];
  await Deno.chown(given, 1_700_000_000, 1_700_100_000);
  const { code, stdout, stderr } = await run([
    ...["--rm", "--uidmap=0:1700000000:65536", "--gidmap=0:1700100000:65536", "--user=0:0"],
    ...[`--volume=${given}:/given`, `--volume=${mapped}:/mapped:idmap`, "services", "sh", "-c"],
    "id -u; for it in /given/x /mapped/x /etc/x; do echo x >$it && chown 33:34 $it && " +
    "busybox stat -c %u:%g $it; done",
  ], { timeoutSeconds: 120 });
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "0\n33:34\n33:34\n33:34\n");
  const owners = [given, mapped].map((it) => Deno.statSync(`${it}/x`)).map((
    it,
  ) => [it.uid, it.gid]);
  assert.deepEqual(owners, [[1_700_000_033, 1_700_100_034], [33, 34]]);
});

testIf("podman: a guest in a network has the names that its container has", IMAGES, async () => {
  await using scope = new Scope();
  const config = await nodeWithKernel(scope, UNDESCRIBED);
  const { podman, runArguments } = await startPodman(scope, await uruncBinary(), [
    `config=${config}`,
  ]);
  await podman(["import", await debianServices(), "services"], { check: true });
  await podman(["network", "create", "--subnet=10.90.8.0/24", "--disable-dns", "front"], {
    check: true,
  });
  scope.defer("remove the network", () => podman(["network", "rm", "--force", "front"]));
  const [, cgroup] = runArguments([]);
  const { stdout } = await podman([
    ...["run", "--rm", cgroup!, "--network=front:ip=10.90.8.5", "--hostname=named"],
    ...["--add-host=other:10.1.2.3", "--dns=10.90.8.53", "services"],
    ...["cat", "/etc/hosts", "/etc/resolv.conf"],
  ], { check: true, timeoutSeconds: 120 });
  for (const line of [/^127.0.0.1\s+localhost$/m, /^10.1.2.3\s+other$/m, /^10.90.8.5\s+named/m]) {
    assert.match(stdout, line);
  }
  assert.match(stdout, /^nameserver 10.90.8.53$/m);
});

testIf("podman: services keep what is in their volumes", IMAGES, async () => {
  await using scope = new Scope();
  const config = await nodeWithKernel(scope, UNDESCRIBED);
  const { podman, run } = await startPodman(scope, await uruncBinary(), [`config=${config}`]);
  for (const name of servicesOf("python")) {
    const { layer, command } = SERVICES[name];
    await podman(["import", `--change=USER ${SERVICE_USER}`, await layer(), name], { check: true });
    await podman(["volume", "create", `${name}-data`], { check: true });
    const { stdout: place } = await podman([
      ...["volume", "inspect", "--format={{.Mountpoint}}", `${name}-data`],
    ]);
    await Deno.chown(place.trim(), 1000, 1000);
    await checkService(name, {
      start: () =>
        run(["--detach", `--name=${name}`, `--volume=${name}-data:/data`, name, ...command], {
          check: true,
          timeoutSeconds: 120,
        }),
      exec: (command, options) => podman(["exec", name, ...command], options),
      restart: () => podman(["restart", "--time=30", name], { check: true, timeoutSeconds: 120 }),
    });
    await podman(["rm", "--force", "--time=30", name], { check: true, timeoutSeconds: 90 });
  }
});
