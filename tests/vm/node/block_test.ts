/** Snapshots of a thin pool as guests' disks: containerd's devmapper snapshotter on cgroup v2. */
import assert from "node:assert/strict";
import {
  assertNothingLeft,
  linuxRootImage,
  sectorImage,
  waitForLine,
  waitForStatus,
} from "../../e2e/containerd/_common.ts";
import { type Containerd, startContainerd } from "../../support/containerd.ts";
import { doubleTable } from "../../support/double.ts";
import { isAlive, readStatus, run, waitFor } from "../../support/process.ts";
import { ROOT_DISK_ANNOTATION } from "../../support/root_disk.ts";
import { doubleContainer } from "../../support/runtime.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { cgroupOf } from "./_guests.ts";
import { activateVolume, thinPool } from "./_thin_pool.ts";

const needs = ["root", "kvm", "containerd", "ctr", "dmsetup", "getfacl", "e2fsck"];
const IMAGE = "docker.io/library/disk:latest";
const SNAPSHOTTER = "--snapshotter=devmapper";
const AS_NOBODY = "--user=65534:65534";
const SLOW = { timeoutSeconds: 180 };
const MEGABYTES = 128;

const [EPERM, ENOENT, ENOSPC, EROFS] = [1, 2, 28, 30];

async function startWithDevmapper(
  scope: Scope,
  pool: string,
  uruncConfiguration?: string,
): Promise<Containerd> {
  const root = await scope.temporaryDirectory("devmapper");
  const configuration = `
[plugins."io.containerd.snapshotter.v1.devmapper"]
  root_path = "${root}"
  pool_name = "${pool}"
  base_image_size = "${MEGABYTES}MB"
`;
  const it = await startContainerd(scope, { configuration, uruncConfiguration });
  scope.defer("remove the image", async () => {
    await it.ctr(["images", "rm", "--sync", IMAGE], SLOW);
  });
  return it;
}

testIf("a Linux guest has a thin snapshot as its root, and outlives containerd's restart", {
  needs: [...needs, "busybox", "cpio"],
  timeoutSeconds: 400,
}, async () => {
  await using scope = new Scope();
  const pool = await thinPool(scope);
  const it = await startWithDevmapper(scope, pool);
  await it.makeImage(IMAGE, await linuxRootImage(scope, "kvm", "none"), undefined, "devmapper");
  const log = `${it.directory}/linux.log`;
  const flags = ["--detach", SNAPSHOTTER, AS_NOBODY, `--log-uri=file://${log}`];
  const args = ["/sbin/guest", "written by the guest"];
  await it.ctrRun(flags, IMAGE, "linux", args, { check: true, ...SLOW });
  const pid = await waitForStatus(it, "linux", "RUNNING");
  await waitForLine(log, "the guest has written");
  const status = readStatus(pid);
  assert.deepEqual([status.uids, status.groups], [[65534, 65534, 65534, 65534], [65534]]);

  const device = await snapshotDevice(it, "linux");
  await assertRules(cgroupOf(pid), device, `/dev/mapper/${pool}`);
  const mounting = await run(["mount", device, "/mnt"]);
  assert.notEqual(mounting.code, 0);

  await it.kill();
  await it.start();
  await waitForStatus(it, "linux", "RUNNING");
  assert.ok(isAlive(pid));

  await it.ctr(["task", "kill", "linux"], { check: true, ...SLOW });
  await waitFor(() => !isAlive(pid), { timeoutSeconds: 120, what: "the guest to stop" });
  await it.ctr(["task", "delete", "linux"], SLOW);
  await run(["e2fsck", "-fn", device], { check: true });
  await run(["mount", "-o", "ro", device, "/mnt"], { check: true });
  const text = await Deno.readTextFile("/mnt/root/written");
  await run(["umount", "/mnt"], { check: true });
  assert.equal(text, "written by the guest\n");
  await it.ctr(["containers", "delete", "linux"], { check: true, ...SLOW });
  await assertNothingLeft(it);
});

testIf("a guest reads and writes the sectors of a thin snapshot, and of no other", {
  needs,
  timeoutSeconds: 300,
}, async () => {
  await using scope = new Scope();
  const pool = await thinPool(scope);
  const it = await startWithDevmapper(scope, pool);
  await it.makeImage(IMAGE, sectorImage("kvm"), undefined, "devmapper");
  const before = await deviceFacts();
  const commands = ["disk", "0", "size", "write", "1", "sector-one", "read", "1", "disk", "1"];
  const flags = ["--rm", SNAPSHOTTER, AS_NOBODY];
  const result = await it.ctrRun(flags, IMAGE, "sectors", commands, SLOW);
  const lines = result.stdout.replaceAll("\r", "").trimEnd().split("\n");
  // devmapper's MB are 1000 kB; its devices are a whole number of sectors.
  assert.match(lines[0]!, /^disk 0: \d+ sectors, writable, serial rootfs$/, result.stderr);
  assert.deepEqual(lines.slice(1, 3), ["wrote 1", "read 1: sector-one"], result.stderr);
  assert.ok(lines.length > 3 && !lines.join("\n").includes("disk 1:"), result.stdout);
  assert.equal(result.code, 1, "there is no second disk");
  await assertDevicesAre(before);
  await assertNothingLeft(it);
});

testIf("a hostile monitor reaches its own snapshot only; nothing on the host changes", {
  needs: [...needs, "gcc"],
  timeoutSeconds: 400,
}, async () => {
  await using scope = new Scope();
  const pool = await thinPool(scope);
  const it = await startWithDevmapper(scope, pool, await doubleTable("qemu"));
  await it.makeImage(IMAGE, sectorImage("tcg"), undefined, "devmapper");
  const flags = [SNAPSHOTTER, AS_NOBODY];
  await it.ctrRun(["--detach", ...flags], IMAGE, "neighbour", ["idle"], SLOW);
  await waitForStatus(it, "neighbour", "RUNNING");
  const neighbour = await snapshotDevice(it, "neighbour");
  const { major, minor } = await numbers(neighbour);
  const before = await deviceFacts();

  const commands = `write-at /dev/disk0 0; write-at /dev/disk0 ${1 << 30}; ` +
    `open ${neighbour} rw; open /dev/mapper/${pool} r; ` +
    `mknod /dev/other ${major} ${minor}; mknod /other ${major} ${minor}; exit 0`;
  const { stdout, stderr } = await it.ctrRun(
    ["--rm", ...flags],
    IMAGE,
    "hostile",
    [commands],
    SLOW,
  );
  const answers = stdout.trim().split("\n").map((line) => JSON.parse(line).errno);
  assert.deepEqual(answers.slice(0, 4), [0, ENOSPC, ENOENT, ENOENT], stderr);
  for (const errno of answers.slice(4)) assert.ok([EPERM, EROFS].includes(errno), `${errno}`);

  await assertDevicesAre(before);
  await it.ctr(["task", "delete", "--force", "neighbour"], SLOW);
  await it.ctr(["containers", "delete", "neighbour"], SLOW);
  await assertNothingLeft(it);
});

/** More than a second each; what says nothing for long is taken for a node that stands still. */
const ROUNDS = 100;
const ROUNDS_A_LINE = 10;

testIf(
  `${ROUNDS} rounds leave owners, modes, access lists and device mapper's tables unchanged`,
  {
    needs: [...needs, "gcc"],
    timeoutSeconds: 1200,
  },
  async () => {
    await using scope = new Scope();
    const pool = await thinPool(scope);
    const device = await activateVolume(pool, 0, 32, true);
    const container = await doubleContainer(scope, "write-at /dev/disk0 1048576; exit 0", {
      annotations: ROOT_DISK_ANNOTATION,
      edit: (config) => config.root = { path: "rootfs", readonly: false },
    });
    await run(["mkfs.ext4", "-q", "-d", container.rootfs, device], { check: true, ...SLOW });
    await Deno.remove(container.rootfs, { recursive: true });
    await Deno.mkdir(container.rootfs);
    const before = await deviceFacts();
    for (let round = 0; round < ROUNDS; round++) {
      await run(["mount", device, container.rootfs], { check: true, ...SLOW });
      const { code, stderr } = await container.run();
      assert.equal(code, 0, `round ${round}: ${stderr}`);
      if ((round + 1) % ROUNDS_A_LINE === 0) console.log(`${round + 1} rounds`);
    }
    assert.deepEqual(await deviceFacts(), before);
    await run(["e2fsck", "-fn", device], { check: true, ...SLOW });
  },
);

/** The device behind a container's snapshot. */
async function snapshotDevice(it: Containerd, key: string): Promise<string> {
  const mounts = ["snapshots", SNAPSHOTTER, "mounts", "/nowhere", key];
  const { stdout } = await it.ctr(mounts, { check: true, ...SLOW });
  const device = stdout.split(/\s+/).find((word) => word.startsWith("/dev/mapper/"));
  assert.ok(device !== undefined, stdout);
  return device;
}

async function numbers(device: string): Promise<{ major: number; minor: number }> {
  const { stdout } = await run(["stat", "--dereference", "--format=%Hr %Lr", device], {
    check: true,
  });
  const [major = NaN, minor = NaN] = stdout.trim().split(" ").map(Number);
  return { major, minor };
}

/** A process in the cgroup, with all of root's rights, may open its own disk and KVM only. */
async function assertRules(cgroup: string, own: string, other: string): Promise<void> {
  const script = 'echo $$ > "/sys/fs/cgroup$0/cgroup.procs"; exec 3<>"$1"';
  const open = async (path: string) => await run(["sh", "-c", script, cgroup, path]);
  assert.equal((await open(own)).code, 0);
  for (const path of [other, "/dev/vda", "/dev/loop0"]) {
    assert.match((await open(path)).stderr, /not permitted/, path);
  }
}

/** The same as before, once containerd's garbage collection has removed what was deleted. */
async function assertDevicesAre(before: string[]): Promise<void> {
  const wanted = JSON.stringify(before);
  await waitFor(async () => JSON.stringify(await deviceFacts()) === wanted, {
    timeoutSeconds: 60,
    what: "the devices to be as before",
    intervalMilliseconds: 1000,
  }).catch(() => {});
  assert.deepEqual(await deviceFacts(), before);
}

/** Owner, mode and access list of all block devices, and device mapper's tables of active ones. */
async function deviceFacts(): Promise<string[]> {
  const nodes = ["/dev", "/dev/mapper"].flatMap((directory) =>
    [...Deno.readDirSync(directory)].map(({ name }) => `${directory}/${name}`)
  ).filter((path) => Deno.statSync(path).isBlockDevice).sort();
  const acl = await run(["getfacl", "--absolute-names", "--numeric", ...nodes], { check: true });
  const tables = await run(["dmsetup", "table"], { check: true });
  return [acl.stdout, tables.stdout.split("\n").sort().join("\n")];
}
