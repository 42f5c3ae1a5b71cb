/** `file_access = "userns"`: root in a guest is root over its files, whose owners on disk are those that it sees. */
import assert from "node:assert/strict";
import { readIdMaps, readNamespaceOwner } from "../../lib/host/id_maps.ts";
import { FIRST_ID } from "../support/host_ids.ts";
import { childrenOf, readCommandLine, readStatus } from "../support/process.ts";
import { nodeWithKernel, UNDESCRIBED } from "../support/node_kernel.ts";
import { assertFailed, assertNothingLeft, assertSucceeded, Container } from "../support/runtime.ts";
import { run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const NEEDS = {
  needs: ["root", "qemu-system-x86_64", "virtiofsd", "busybox", "cpio", "apt-get"],
  timeoutSeconds: 300,
};

const IDS = `[ids]\nmode = "uid"\nrange = "${FIRST_ID}-${FIRST_ID + 65536}"`;

const PROGRAMS = ["sh", "cat", "chmod", "chown", "id", "mknod", "mkdir", "sleep", "stat", "touch"];

/** A node where owners are mapped, and a container of an image with busybox alone, whose user is root. */
async function ownersContainer(
  scope: Scope,
  script: string,
  mounts: { source: string; destination: string; type: string; options: string[] }[] = [],
): Promise<Container> {
  const config = await nodeWithKernel(scope, `${UNDESCRIBED}\n${IDS}`);
  const text = await Deno.readTextFile(config);
  await Deno.writeTextFile(config, `${text}file_access = "userns"\n`);
  const container = await Container.prepare(scope, {
    config,
    args: ["sh", "-c", script],
    env: ["PATH=/bin"],
    user: { uid: 0, gid: 0 },
    edit: (config) => {
      config.root = { path: "rootfs", readonly: false };
      const capabilities = [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_MKNOD",
      ];
      config.process.capabilities = {
        bounding: capabilities,
        effective: capabilities,
        permitted: capabilities,
      };
      config.mounts = [
        { destination: "/proc", type: "proc", source: "proc" },
        { destination: "/dev", type: "tmpfs", source: "tmpfs" },
        ...mounts,
      ];
    },
  });
  await Deno.remove(`${container.rootfs}/urunc.json`);
  await Deno.remove(`${container.rootfs}/unikernel`, { recursive: true });
  await Deno.mkdir(`${container.rootfs}/bin`);
  await Deno.copyFile("/usr/bin/busybox", `${container.rootfs}/bin/busybox`);
  for (const name of PROGRAMS) await Deno.symlink("busybox", `${container.rootfs}/bin/${name}`);
  return container;
}

const bind = (source: string, destination: string) => ({
  source,
  destination,
  type: "bind",
  options: ["rbind"],
});

/** What stat(1) says of them on the host. */
async function ownersOf(...paths: string[]): Promise<string[]> {
  const { stdout } = await run(["stat", "-c", "%u:%g %a", ...paths], { check: true });
  return stdout.trim().split("\n");
}

testIf(
  "file owners: root in the guest is root over its files, and nobody on the host",
  NEEDS,
  async () => {
    await using scope = new Scope();
    const data = await scope.temporaryDirectory("volume");
    await Deno.writeTextFile(`${data}/secret`, "secret\n", { mode: 0o600 });
    // Closed to a server without capabilities.
    await Deno.chown(data, 65535, 65535);
    await Deno.chmod(data, 0o700);
    const script =
      "id -u; cat /data/secret; touch /a /data/b; chown 33:34 /a; chown 1000:1001 /data/b; " +
      "chmod 4755 /data/b; stat -c '%u:%g %a' /a /data/b; stat -c %u:%g /data/secret; " +
      "mknod /node c 1 3 2>/dev/null || echo no node; cat /data/others; echo up; sleep 99";
    const container = await ownersContainer(scope, script, [bind(data, "/data")]);
    await Deno.writeTextFile(`${data}/others`, "another's\n", { mode: 0o600 });
    await Deno.chown(`${data}/others`, 65535, 65535);
    const { code } = await container.spawn(scope, "run");
    await container.waitForOutput("up", 200);
    assert.deepEqual(container.output().replaceAll("\r", "").split("\n").slice(0, 7), [
      ...["0", "secret", "33:34 644", "1000:1001 4755", "0:0", "no node", "another's"],
    ]);
    assert.deepEqual(
      await ownersOf(`${container.rootfs}/a`, `${data}/b`, `${container.rootfs}/proc`),
      [
        ...["33:34 644", "1000:1001 4755", "0:0 755"],
      ],
    );
    assert.doesNotMatch(container.errors(), /cannot read/);
    const { pid } = await container.state();
    const server = childrenOf(pid!).find((it) =>
      readCommandLine(it)[0] === "/usr/libexec/virtiofsd"
    )!;
    const { uids, gids, groups, capabilities } = readStatus(server);
    assert.deepEqual([...uids, ...gids], Array(8).fill(FIRST_ID));
    assert.deepEqual(groups, []);
    // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETGID and SETUID, over its own namespace.
    assert.equal(capabilities.permitted, 0xdbn);
    assert.equal(capabilities.bounding, 0n);
    const mapping = [{ containerID: 0, hostID: FIRST_ID, size: 65536 }];
    assert.deepEqual(readIdMaps(server), { uids: mapping, gids: mapping });
    assert.equal(readNamespaceOwner(server), 2 ** 32 - 2);
    // None of those that the guest's files have.
    assert.equal(readStatus(await container.monitorPid()).uids[0], FIRST_ID + 65536);
    Deno.kill(pid!, "SIGKILL");
    await code;
    assertSucceeded(await container.urunc(["delete", "--force", container.id]));
    assertNothingLeft(container, pid!);
  },
);

testIf("file owners: what cannot be mapped is refused by its name", NEEDS, async () => {
  await using scope = new Scope();
  const container = await ownersContainer(scope, "true", [bind("/proc/sys", "/data")]);
  assertFailed(await container.create(), ["the owners of /proc/sys cannot be mapped"]);
  assertNothingLeft(container);
  const directory = await scope.temporaryDirectory("layers");
  for (const name of ["lower", "upper", "work"]) await Deno.mkdir(`${directory}/${name}`);
  const rootfs = container.rootfs;
  const options =
    `lowerdir=${directory}/lower:${rootfs},upperdir=${directory}/upper,workdir=${directory}/work`;
  const merged = `${directory}/merged`;
  await Deno.mkdir(merged);
  await run(["mount", "-t", "overlay", "overlay", "-o", options, merged], { check: true });
  scope.defer("unmount the overlay", () => run(["umount", "--quiet", merged]));
  const file = `${container.bundle}/config.json`;
  const config = JSON.parse(await Deno.readTextFile(file));
  config.root.path = merged;
  config.mounts.pop();
  await Deno.writeTextFile(file, JSON.stringify(config));
  assertFailed(await container.create(), [
    "share files with the guest the container's root",
    "the owners of an overlay that the container's engine has mounted cannot be mapped",
  ]);
  await run(["umount", merged], { check: true });
  config.root.path = "rootfs";
  config.linux.namespaces.push({ type: "user" });
  config.linux.uidMappings = [{ containerID: 0, hostID: FIRST_ID, size: 1 }];
  config.linux.gidMappings = config.linux.uidMappings;
  await Deno.writeTextFile(file, JSON.stringify(config));
  assertFailed(await container.create(), [
    "share files with the guest config.json linux.namespaces",
    "the container has a user namespace, whose ids its files have",
  ]);
  assertNothingLeft(container);
});
