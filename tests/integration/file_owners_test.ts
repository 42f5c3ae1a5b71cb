/** `file_access = "userns"`: root in a guest is root over its files, whose owners on disk are those that it sees. */
import assert from "node:assert/strict";
import { readIdMaps, readNamespaceOwner } from "../../lib/host/id_maps.ts";
import type { IdMaps } from "../../lib/oci/types.ts";
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

const ROOT = { uid: 0, gid: 0 };

/** As docker's userns-remap, and the kubelet for `hostUsers: false`, write it. */
const MAPS: IdMaps = {
  uids: [{ containerID: 0, hostID: FIRST_ID, size: 1000 }],
  gids: [{ containerID: 0, hostID: FIRST_ID + 2000, size: 1000 }],
};

/** What is different of a container. */
interface OwnersOptions {
  mounts?: Record<string, unknown>[];
  /** Of the configuration: `userns` by default. */
  fileAccess?: "user" | "userns";
  ids?: string;
  /** A user namespace of config.json's. */
  maps?: IdMaps;
  /** Root by default. */
  user?: { uid: number; gid: number };
}

/** A node where owners are mapped, and a container of an image with busybox alone. */
async function ownersContainer(
  scope: Scope,
  script: string,
  { mounts = [], fileAccess = "userns", ids = IDS, maps, user = ROOT }: OwnersOptions = {},
): Promise<Container> {
  const config = await nodeWithKernel(scope, `${UNDESCRIBED}\n${ids}`);
  const text = await Deno.readTextFile(config);
  await Deno.writeTextFile(config, `${text}file_access = "${fileAccess}"\n`);
  const container = await Container.prepare(scope, {
    config,
    args: ["sh", "-c", script],
    env: ["PATH=/bin"],
    user,
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
      if (maps === undefined) return;
      const linux = config.linux as { namespaces: object[] };
      linux.namespaces.push({ type: "user" });
      Object.assign(linux, { uidMappings: maps.uids, gidMappings: maps.gids });
    },
  });
  await Deno.remove(`${container.rootfs}/urunc.json`);
  await Deno.remove(`${container.rootfs}/unikernel`, { recursive: true });
  await Deno.mkdir(`${container.rootfs}/bin`);
  await Deno.copyFile("/usr/bin/busybox", `${container.rootfs}/bin/busybox`);
  for (const name of PROGRAMS) await Deno.symlink("busybox", `${container.rootfs}/bin/${name}`);
  return container;
}

const bind = (source: string, destination: string, ...options: string[]) => ({
  source,
  destination,
  type: "bind",
  options: ["rbind", ...options],
});

/** Its file server's pid. */
function serverOf(pid: number): number {
  return childrenOf(pid).find((it) => readCommandLine(it)[0] === "/usr/libexec/virtiofsd")!;
}

/** @param code of its `run` */
async function endContainer(container: Container, pid: number, code: Promise<number>) {
  Deno.kill(pid, "SIGKILL");
  await code;
  assertSucceeded(await container.urunc(["delete", "--force", container.id]));
  assertNothingLeft(container, pid);
}

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
    const container = await ownersContainer(scope, script, { mounts: [bind(data, "/data")] });
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
    const server = serverOf(pid!);
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
    await endContainer(container, pid!, code);
  },
);

testIf("file owners: what cannot be mapped is refused by its name", NEEDS, async () => {
  await using scope = new Scope();
  const container = await ownersContainer(scope, "true", { mounts: [bind("/proc/sys", "/data")] });
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
  config.linux.uidMappings = [{ containerID: 0, hostID: 5, size: 1 }];
  config.linux.gidMappings = [{ containerID: 1, hostID: 5, size: 1 }];
  config.process.user = { uid: 0, gid: 1 };
  await Deno.writeTextFile(file, JSON.stringify(config));
  assertFailed(await container.create(), [
    "share files with the guest config.json linux.uidMappings, linux.gidMappings",
    "the container's user namespace has no uid or no gid 0",
  ]);
  config.linux.gidMappings = config.linux.uidMappings;
  config.process.user = { uid: 0, gid: 0 };
  const others = [{ containerID: 0, hostID: 6, size: 1 }];
  config.mounts.push({ ...bind("/etc", "/data"), uidMappings: others, gidMappings: others });
  await Deno.writeTextFile(file, JSON.stringify(config));
  assertFailed(await container.create(), [
    "/etc: the option idmap is not applied to what is shared",
    "give it the mappings of the container's user namespace",
  ]);
  assertNothingLeft(container);
});

testIf(
  "file owners: a user namespace whose root is the host's is one more root",
  NEEDS,
  async () => {
    await using scope = new Scope();
    const same = [{ containerID: 0, hostID: 0, size: 70000 }];
    const container = await ownersContainer(scope, "true", {
      fileAccess: "user",
      ids: "[allow]\nroot_monitor = false",
      maps: { uids: same, gids: same },
      user: { uid: 65534, gid: 65534 },
    });
    assertFailed(await container.create(), ["config.json linux.uidMappings", "root of the host"]);
    assertNothingLeft(container);
  },
);

testIf(
  "file owners: nothing is made in a directory that is not the container's",
  NEEDS,
  async () => {
    await using scope = new Scope();
    const data = await scope.temporaryDirectory("volume");
    for (const name of ["hosts", "open", "own"]) await Deno.mkdir(`${data}/${name}`);
    await Deno.chmod(`${data}/open`, 0o777);
    await Deno.chown(`${data}/own`, FIRST_ID + 33, FIRST_ID + 2033);
    const container = await ownersContainer(scope, "true", {
      mounts: [bind(data, "/data")],
      fileAccess: "user",
      ids: "",
      maps: MAPS,
    });
    await run(["chown", "-hR", `${FIRST_ID}:${FIRST_ID + 2000}`, container.rootfs], {
      check: true,
    });
    const file = `${container.bundle}/config.json`;
    const config = JSON.parse(await Deno.readTextFile(file));
    for (const name of ["hosts", "open", "own"]) {
      config.process.cwd = `/data/${name}/new/er`;
      await Deno.writeTextFile(file, JSON.stringify(config));
      const created = await container.create();
      if (name === "hosts") {
        assertFailed(created, [
          `/hosts/new is not there in ${data}, and root of the container's user namespace may not`,
        ]);
        assertNothingLeft(container);
        assert.deepEqual([...Deno.readDirSync(`${data}/hosts`)], []);
        continue;
      }
      assertSucceeded(created);
      const made = await ownersOf(`${data}/${name}/new/er`);
      assert.deepEqual(made, [`${FIRST_ID}:${FIRST_ID + 2000} 755`]);
      assertSucceeded(await container.urunc(["delete", "--force", container.id]));
    }
  },
);

for (const fileAccess of ["user", "userns"] as const) {
  testIf(
    `file owners: they are those of config.json's user namespace (file_access = "${fileAccess}")`,
    NEEDS,
    async () => {
      await using scope = new Scope();
      const directory = await scope.temporaryDirectory("volumes");
      const [plain, mapped] = [`${directory}/plain`, `${directory}/mapped`];
      // A volume that has been given to the container, and one whose mount maps its owners.
      for (const path of [plain, mapped]) {
        await Deno.mkdir(path);
        await Deno.writeTextFile(`${path}/secret`, "secret\n", { mode: 0o600 });
        await Deno.writeTextFile(`${path}/hosts`, "of the host\n", { mode: 0o600 });
      }
      const below = `${mapped}/below`;
      await Deno.mkdir(below);
      await run(["mount", "-t", "tmpfs", "tmpfs", below], { check: true });
      scope.defer("unmount what is below", () => run(["umount", "--lazy", below]));
      await Deno.writeTextFile(`${below}/secret`, "below\n", { mode: 0o600 });
      for (const path of [plain, `${plain}/secret`]) {
        await Deno.chown(path, FIRST_ID, FIRST_ID + 2000);
      }
      await Deno.chown(`${mapped}/hosts`, 5000, 5000);
      const script =
        "id -u; cat /plain/secret /mapped/secret; cat /plain/hosts /mapped/hosts 2>/dev/null; " +
        "touch /a /plain/b /mapped/c; chown 33:34 /a /plain/b /mapped/c; chmod 4755 /a; " +
        "stat -c '%u:%g %a' / /a /plain/b /mapped/c; stat -c %u:%g /plain/hosts; " +
        "cat /mapped/below/secret 2>/dev/null || echo closed; echo up; sleep 99";
      const container = await ownersContainer(scope, script, {
        mounts: [
          bind(plain, "/plain"),
          {
            ...bind(mapped, "/mapped", ...fileAccess === "user" ? [] : ["ridmap"]),
            ...{ uidMappings: MAPS.uids, gidMappings: MAPS.gids },
          },
        ],
        fileAccess,
        ids: `[ids]\nrange = "${FIRST_ID + 10000}-${FIRST_ID + 80000}"`,
        maps: MAPS,
      });
      await run(["chown", "-hR", `${FIRST_ID}:${FIRST_ID + 2000}`, container.rootfs], {
        check: true,
      });
      const { code } = await container.spawn(scope, "run");
      await container.waitForOutput("up", 200);
      assert.deepEqual(container.output().replaceAll("\r", "").split("\n").slice(0, 9), [
        ...["0", "secret", "secret"],
        ...["0:0 755", "33:34 4755", "33:34 644", "33:34 644", "65534:65534"],
        fileAccess === "user" ? "closed" : "below",
      ]);
      assert.deepEqual(
        await ownersOf(
          ...[`${container.rootfs}/a`, `${container.rootfs}/proc`, `${plain}/b`, `${mapped}/c`],
        ),
        [
          `${FIRST_ID + 33}:${FIRST_ID + 2034} 4755`,
          `${FIRST_ID}:${FIRST_ID + 2000} 755`,
          `${FIRST_ID + 33}:${FIRST_ID + 2034} 644`,
          "33:34 644",
        ],
      );
      const { pid } = await container.state();
      const server = serverOf(pid!);
      const monitor = await container.monitorPid();
      for (const process of [server, monitor]) {
        const { uids, gids } = readStatus(process);
        assert.deepEqual(uids, Array(4).fill(FIRST_ID));
        assert.deepEqual(gids, Array(4).fill(FIRST_ID + 2000));
        assert.deepEqual(readIdMaps(process), MAPS);
        assert.equal(readNamespaceOwner(process), 2 ** 32 - 2);
      }
      // What the server may do to files it may do to nothing of the monitor's.
      const namespaceOf = (it: number) => Deno.readLinkSync(`/proc/${it}/ns/user`);
      assert.notEqual(namespaceOf(server), namespaceOf(monitor));
      assert.equal(readStatus(server).capabilities.permitted, 0xdbn);
      assert.equal(readStatus(monitor).capabilities.permitted, 0n);
      await endContainer(container, pid!, code);
    },
  );
}

testIf(
  "file owners: one user serves files beside a monitor in a user namespace of its own",
  NEEDS,
  async () => {
    await using scope = new Scope();
    const data = await scope.temporaryDirectory("volume");
    const container = await ownersContainer(scope, "echo x >/data/x; echo up; sleep 99", {
      mounts: [bind(data, "/data")],
      fileAccess: "user",
      ids: `[ids]\nmode = "userns"\nrange = "${FIRST_ID}-${FIRST_ID + 10}"`,
    });
    const { code } = await container.spawn(scope, "run");
    await container.waitForOutput("up", 200);
    assert.equal(await Deno.readTextFile(`${data}/x`), "x\n");
    const { pid } = await container.state();
    assert.equal(readStatus(serverOf(pid!)).uids[0], 0);
    const monitor = await container.monitorPid();
    assert.equal(readStatus(monitor).uids[0], FIRST_ID);
    const alone = [{ containerID: FIRST_ID, hostID: FIRST_ID, size: 1 }];
    assert.deepEqual(readIdMaps(monitor), { uids: alone, gids: alone });
    await endContainer(container, pid!, code);
  },
);
