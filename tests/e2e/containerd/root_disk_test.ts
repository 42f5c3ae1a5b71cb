/**
 * The container's snapshot as the guest's disk: containerd's blockfile snapshotter, which needs no
 * device mapper, with the shim and with the command line behind containerd's shim for runc.
 */
import assert from "node:assert/strict";
import { type Containerd, CONTAINERD_NEEDS, startContainerd } from "../../support/containerd.ts";
import type { ImageFile } from "../../support/image.ts";
import { nodeWithKernel, UNDESCRIBED } from "../../support/node_kernel.ts";
import { isAlive, readStatus, run, waitFor } from "../../support/process.ts";
import { assertClean, ROOT_DISK_NEEDS } from "../../support/root_disk.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { uruncBinary } from "../../support/urunc.ts";
import {
  assertNothingLeft,
  linuxRootImage,
  sectorImage,
  waitForLine,
  waitForStatus,
} from "./_common.ts";

const NEEDS = [...CONTAINERD_NEEDS, ...ROOT_DISK_NEEDS, "qemu-system-x86_64"];
const IMAGE = "docker.io/library/disk:latest";
const AS_NOBODY = "--user=65534:65534";

testIf("a Linux guest has the snapshot as its root: what it writes is in the snapshot", {
  needs: [...NEEDS, "busybox", "cpio", "apt-get"],
  timeoutSeconds: 300,
}, async () => {
  await using scope = new Scope();
  const it = await startWithBlockfile(scope);
  await it.makeImage(IMAGE, await linuxRootImage(scope, "tcg", "on"), undefined, "blockfile");
  const log = `${it.directory}/linux.log`;
  const flags = ["--detach", "--snapshotter=blockfile", AS_NOBODY, `--log-uri=file://${log}`];
  await it.ctrRun(flags, IMAGE, "linux", ["/sbin/guest", "written by the guest"], { check: true });
  const pid = await waitForStatus(it, "linux", "RUNNING");
  await waitForLine(log, "the guest has written");

  const status = readStatus(pid);
  // ctr names the user's own group as a supplementary one, too: no group of devices.
  assert.deepEqual([status.uids, status.groups], [[65534, 65534, 65534, 65534], [65534]]);
  assert.equal(status.capabilities.bounding, 0n);
  // Nowhere in containerd's mount namespace, and nobody can mount it now.
  assert.doesNotMatch(await mountsOf(it), /blockfile|task\/.*\/linux/);
  const again = await mountSnapshot(it, "linux", "ls");
  assert.notEqual(again.code, 0, again.stdout);
  assert.match(again.stderr, /busy|Can't open blockdev/);

  // The agent leaves the root when its program has exited.
  await it.ctr(["task", "kill", "linux"], { check: true });
  await waitFor(() => !isAlive(pid), { timeoutSeconds: 60, what: "the guest to stop" });
  assert.match((await it.ctr(["task", "delete", "linux"])).stderr, /exit code 3\b/);
  await assertClean(await snapshotFile(it, "linux"));
  const { stdout } = await mountSnapshot(it, "linux", "cat");
  assert.match(stdout, /^written by the guest$/m);
  await it.ctr(["containers", "delete", "linux"], { check: true });
  await assertNothingLeft(it);
});

for (const accelerator of ["kvm", "tcg"] as const) {
  testIf(`a guest under ${accelerator} reads and writes the sectors of its snapshot`, {
    needs: accelerator === "kvm" ? [...NEEDS, "kvm"] : NEEDS,
  }, async () => {
    await using scope = new Scope();
    const it = await startWithBlockfile(scope);
    await it.makeImage(IMAGE, sectorImage(accelerator), undefined, "blockfile");
    const sectors = SCRATCH_BYTES / 512;
    const flags = ["--rm", "--snapshotter=blockfile", AS_NOBODY];
    // The file system's magic number, 0xEF53, is in sector 2; the boot sector is nobody's.
    const commands = ["disk", "0", "size", "write", "1", "sector-one", "read", "1"];
    const result = await it.ctrRun(flags, IMAGE, "sectors", commands);
    assert.equal(
      result.stdout.replaceAll("\r", ""),
      `disk 0: ${sectors} sectors, writable, serial rootfs\nwrote 1\nread 1: sector-one\n`,
      result.stderr,
    );
    await assertNothingLeft(it);
  });
}

testIf("an image of busybox alone is a guest where the operator wants it, its root the snapshot", {
  needs: [...NEEDS, "busybox", "cpio", "apt-get"],
  timeoutSeconds: 300,
}, async () => {
  await using scope = new Scope();
  const policy = `${UNDESCRIBED}\n[ids]\ndefault_user = "65534:65534"`;
  const config = await Deno.readTextFile(await nodeWithKernel(scope, policy));
  const it = await startWithBlockfile(scope, config);
  const files: ImageFile[] = [
    { path: "/bin/busybox", source: "/usr/bin/busybox", mode: 0o755 },
    { path: "/root/.here" },
    ...["sh", "id", "sleep", "chown"].map((name) => ({ path: `/bin/${name}`, target: "busybox" })),
  ];
  await it.makeImage(IMAGE, files, undefined, "blockfile");
  const script = "trap 'exit 3' TERM; echo written by $(id -u) >/root/written; " +
    "chown 999:998 /root/written; echo ready; while :; do sleep 1; done";
  const log = `${it.directory}/any.log`;
  const flags = ["--detach", "--snapshotter=blockfile", `--log-uri=file://${log}`];
  await it.ctrRun(flags, IMAGE, "any", ["sh", "-c", script], { check: true });
  const pid = await waitForStatus(it, "any", "RUNNING");
  await waitForLine(log, "ready");
  // Root in the guest, and nobody on the host.
  assert.deepEqual(readStatus(pid).uids, [65534, 65534, 65534, 65534]);
  await it.ctr(["task", "kill", "any"], { check: true });
  await waitFor(() => !isAlive(pid), { timeoutSeconds: 60, what: "the guest to stop" });
  assert.match(
    (await it.ctr(["task", "delete", "any"])).stderr,
    /exit code 3\b/,
  );
  await assertClean(await snapshotFile(it, "any"));
  const { stdout } = await mountSnapshot(it, "any", "stat -c %u:%g");
  assert.equal(stdout, "999:998\n");
  assert.equal((await mountSnapshot(it, "any", "cat")).stdout, "written by 0\n");
  await it.ctr(["containers", "delete", "any"], { check: true });
  await assertNothingLeft(it);
});

testIf("behind containerd's shim for runc, too, which has mounted the root itself", {
  needs: NEEDS,
}, async () => {
  await using scope = new Scope();
  const it = await startWithBlockfile(scope);
  await it.makeImage(IMAGE, sectorImage("tcg"), undefined, "blockfile");
  const { stdout, stderr, code } = await it.ctr([
    "run",
    "--rm",
    "--runtime=io.containerd.runc.v2",
    `--runc-binary=${await uruncBinary()}`,
    "--snapshotter=blockfile",
    AS_NOBODY,
    IMAGE,
    "behind",
    ...["disk", "0", "write", "1", "behind", "read", "1"],
  ]);
  assert.equal(stdout.replaceAll("\r", ""), "wrote 1\nread 1: behind\n", stderr);
  assert.equal(code, 0, stderr);
  await assertNothingLeft(it);
});

testIf("an overlay is not a disk; the error names snapshotters that make one", {
  needs: NEEDS,
}, async () => {
  await using scope = new Scope();
  const it = await startContainerd(scope);
  await it.makeImage(IMAGE, sectorImage("tcg"));
  const { code, stderr } = await it.ctrRun(["--rm", AS_NOBODY], IMAGE, "overlay", ["hello"]);
  assert.notEqual(code, 0);
  assert.match(stderr, /mountRootfs: .* is overlay, which has no block device of its own/);
  assert.match(stderr, /devmapper or blockfile snapshotter/);
  await assertNothingLeft(it);
});

const SCRATCH_BYTES = 64 * 1024 * 1024;

/** @param uruncConfiguration config.toml of urunc */
async function startWithBlockfile(
  scope: Scope,
  uruncConfiguration?: string,
): Promise<Containerd> {
  const scratch = `${await scope.temporaryDirectory("scratch")}/scratch`;
  await run(["truncate", `--size=${SCRATCH_BYTES}`, scratch], { check: true });
  await run(["mkfs.ext4", "-q", scratch], { check: true });
  const configuration = `
[plugins."io.containerd.snapshotter.v1.blockfile"]
  scratch_file = "${scratch}"
  fs_type = "ext4"
  mount_options = []
`;
  return await startContainerd(scope, { configuration, uruncConfiguration });
}

async function mountsOf(it: Containerd): Promise<string> {
  return (await it.onHost(["cat", "/proc/self/mountinfo"], { check: true })).stdout;
}

/** Mounts a snapshot as `ctr snapshot mounts` says, and looks into what the guest has written. */
async function mountSnapshot(it: Containerd, key: string, command: string) {
  const place = `${it.directory}/mounted`;
  await Deno.mkdir(place, { recursive: true });
  const { stdout } = await it.ctr(
    ["snapshots", "--snapshotter=blockfile", "mounts", place, key],
    { check: true },
  );
  const script = `${stdout.trim()} && { ${command} ${place}/root/written; umount ${place}; }`;
  return await it.onHost(["sh", "-c", script]);
}

/** The file behind a snapshot. */
async function snapshotFile(it: Containerd, key: string): Promise<string> {
  const { stdout } = await it.ctr(
    ["snapshots", "--snapshotter=blockfile", "mounts", "/nowhere", key],
    { check: true },
  );
  const file = stdout.split(/\s+/).find((word) => word.startsWith(it.directory));
  assert.ok(file !== undefined, stdout);
  return file;
}
