/** Unmounting a container's root for good, and telling who is in the way. */
import assert from "node:assert/strict";
import { findHolders } from "../../lib/block/holders.ts";
import { releaseRootDisk } from "../../lib/block/release.ts";
import { findRootDisk } from "../../lib/block/root_disk.ts";
import { daemon } from "../support/daemon.ts";
import { heldMountNamespace } from "../support/mount_namespace.ts";
import { run, waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const NEEDS = ["root", "mkfs.ext4", "mount", "umount", "losetup", "unshare"];

const INPUT = {
  subject: "com.urunc.unikernel.mountRootfs",
  otherwise: "leave the key out",
  guest: "linux",
  fileSystems: ["ext4"],
};

/** An ext4 file system on a loop device of its own, mounted. */
async function mountedDisk(scope: Scope) {
  const directory = await scope.temporaryDirectory("root-disk");
  const [file, rootfs] = [`${directory}/disk`, `${directory}/root fs`];
  await Deno.mkdir(rootfs);
  await run(["truncate", "--size=16M", file], { check: true });
  await run(["mkfs.ext4", "-q", file], { check: true });
  await run(["mount", "-o", "loop", file, rootfs], { check: true });
  scope.defer("unmount the root", async () => {
    while ((await run(["umount", rootfs])).code === 0);
  });
  const found = findRootDisk({ ...INPUT, rootfs });
  const disk = { ...found.device, mountPoint: found.mountPoint };
  return { directory, file, rootfs, found, disk };
}

const isMounted = (path: string) =>
  Deno.readTextFileSync("/proc/self/mountinfo").includes(path.replaceAll(" ", "\\040"));

testIf(
  "the device of a mounted root is found, with what is behind it",
  { needs: NEEDS },
  async () => {
    await using scope = new Scope();
    const { file, rootfs, found } = await mountedDisk(scope);
    assert.deepEqual(
      [found.device.kind, found.device.backingFile, found.fileSystem, found.readOnly],
      ["loop", file, "ext4", false],
    );
    assert.deepEqual([found.mountPoint, found.device.size], [rootfs, 16 * 1024 * 1024]);
    // By a link too, which a caller's bundle may be.
    await Deno.symlink(rootfs, `${rootfs}-link`);
    assert.equal(findRootDisk({ ...INPUT, rootfs: `${rootfs}-link` }).mountPoint, rootfs);
    await Deno.mkdir(`${rootfs}/inside`);
    assert.throws(() => findRootDisk({ ...INPUT, rootfs: `${rootfs}/inside` }), /no mount/);
  },
);

testIf("a root is unmounted, however often it is stacked, and nothing else is", {
  needs: NEEDS,
}, async () => {
  await using scope = new Scope();
  const { rootfs, disk } = await mountedDisk(scope);
  await run(["mount", "--bind", rootfs, rootfs], { check: true });
  await releaseRootDisk(disk);
  assert.ok(!isMounted(rootfs));
  await releaseRootDisk(disk);
  // Another file system at the same place stays.
  await run(["mount", "-t", "tmpfs", "tmpfs", rootfs], { check: true });
  await releaseRootDisk(disk);
  assert.ok(isMounted(rootfs));
});

testIf("a root that is in use for a moment is waited for; for longer, its user is named", {
  needs: [...NEEDS, "sh"],
}, async () => {
  await using scope = new Scope();
  const { directory, rootfs, disk } = await mountedDisk(scope);
  const short = await daemon(scope, `${directory}/log`, ["sh", "-c", 'cd "$0"; sleep 1', rootfs]);
  await waitFor(() => workingDirectory(short.pid) === rootfs, {
    timeoutSeconds: 10,
    what: "it to be there",
  });
  await assert.rejects(
    releaseRootDisk(disk, 0),
    new RegExp(
      `hand over the root disk ${rootfs}: the host still uses it.*pid ${short.pid} ` +
        `\\((sh|sleep)\\) has ${rootfs} open.*the guest was not started`,
    ),
  );
  await releaseRootDisk(disk);
  assert.ok(!isMounted(rootfs));
  // It has left the root by ending, which the test's own clean-up has yet to hear of.
  await waitFor(() => short.hasEnded(), { timeoutSeconds: 10, what: "its end" });
});

testIf("a mount in another namespace, or below, is named", { needs: NEEDS }, async () => {
  await using scope = new Scope();
  const { rootfs, disk } = await mountedDisk(scope);
  await Deno.mkdir(`${rootfs}/below`);
  await run(["mount", "-t", "tmpfs", "tmpfs", `${rootfs}/below`], { check: true });
  await assert.rejects(
    releaseRootDisk(disk, 0),
    new RegExp(`tmpfs is mounted in it at ${rootfs}/below`),
  );
  await run(["umount", `${rootfs}/below`], { check: true });
  const other = await heldMountNamespace(scope, "private");
  await releaseRootDisk(disk);
  assert.ok(!isMounted(rootfs));
  // The other namespace's own copy is left: only an exclusive open tells. Others may have made theirs meanwhile.
  const holders = findHolders(disk);
  const own = `pid ${other} (sleep) has it mounted at ${rootfs}`;
  assert.ok(holders.includes(own), holders.join("\n"));
});

function workingDirectory(pid: number): string | undefined {
  try {
    return Deno.readLinkSync(`/proc/${pid}/cwd`);
  } catch {
    return undefined;
  }
}
