/** A Linux guest with an agent whose root is a disk: mounted by the agent, with the RAM disk's drivers. */
import assert from "node:assert/strict";
import { debianKernel, makeLinuxInitrd } from "../support/fixtures.ts";
import { run } from "../support/process.ts";
import { assertClean } from "../support/root_disk.ts";
import { assertNothingLeft, Container, type ContainerOptions } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const NEEDS = {
  needs: [
    ...["root", "qemu-system-x86_64", "busybox", "cpio", "apt-get", "mkfs.ext4", "e2fsck"],
    ...["dumpe2fs", "debugfs"],
  ],
  timeoutSeconds: 120,
};
const IMAGE = "/unikernel/disk.img";

interface RootOptions extends ContainerOptions {
  readOnly?: boolean;
  /** Whether the image has an initial RAM disk, with drivers. */
  hasInitrd?: boolean;
}

/** A guest whose root has a shell, which runs this script. Returns the disk's file, too. */
async function rootContainer(
  scope: Scope,
  script: string,
  { readOnly = false, hasInitrd = true, ...options }: RootOptions = {},
): Promise<{ container: Container; disk: string }> {
  const initrd = hasInitrd ? await makeLinuxInitrd({ moduleTree: true }) : undefined;
  if (initrd !== undefined) scope.defer("remove the initrd", () => initrd.cleanup());
  const hosts = `${await scope.temporaryDirectory("files")}/hosts`;
  await Deno.writeTextFile(hosts, "10.1.2.3 other\n");
  const container = await Container.prepare(scope, {
    unikernelType: "linux",
    kernel: await debianKernel(),
    initrd: initrd?.path,
    accelerator: "tcg",
    args: ["busybox", "sh", "-c", script],
    env: ["PATH=/bin"],
    unikernel: { block: IMAGE, blkMntPoint: "/" },
    ...options,
    edit: (config) => {
      config.root = { path: "rootfs", readonly: readOnly };
      const mount = { destination: "/etc/hosts", type: "bind", options: ["bind"] };
      config.mounts = [{ ...mount, source: hosts }];
    },
  });
  const disk = `${container.rootfs}${IMAGE}`;
  await makeDisk(scope, disk);
  return { container, disk };
}

async function makeDisk(scope: Scope, disk: string): Promise<void> {
  const tree = await scope.temporaryDirectory("tree");
  for (const name of ["bin", "dev", "etc", "proc", "sys", "tmp"]) {
    await Deno.mkdir(`${tree}/${name}`);
  }
  await Deno.copyFile("/usr/bin/busybox", `${tree}/bin/busybox`);
  await Deno.writeTextFile(`${tree}/etc/hostname`, "of the image\n");
  await Deno.symlink("../run/names/hosts", `${tree}/etc/hosts`);
  await Deno.chmod(`${tree}/tmp`, 0o777);
  await run(["mkfs.ext4", "-q", "-d", tree, disk, "16M"], { check: true });
  await Deno.chown(disk, 65534, 65534);
}

testIf(
  "agent: a disk is the root, which the program writes to, and which is left clean",
  NEEDS,
  async () => {
    await using scope = new Scope();
    const script = [
      "echo pid $$; busybox grep ' / ext4' /proc/mounts | busybox cut -d' ' -f1-4 | busybox cut -d, -f1",
      "busybox cat /etc/hostname /etc/hosts; busybox ls /; busybox id -u; busybox cat",
      "echo by the program >/tmp/written; busybox sleep 1000 & exit 7",
    ].join("\n");
    const { container, disk } = await rootContainer(scope, script, { hostname: "small" });
    const args = ["run", "--bundle", container.bundle, container.id];
    const { code, stdout, stderr } = await container.urunc(args, { stdin: "hello\n" });
    assert.equal(stderr, "");
    const root = ["bin", "dev", "etc", "lost+found", "proc", "run", "sys", "tmp"];
    assert.deepEqual(stdout.split("\n"), [
      ...["pid 1", "/dev/vda / ext4 rw", "small", "10.1.2.3 other", ...root, "65534", "hello", ""],
    ]);
    assert.equal(code, 7);
    await assertClean(disk);
    const look = (path: string) => run(["debugfs", "-R", `cat ${path}`, disk], { check: true });
    assert.equal((await look("/tmp/written")).stdout, "by the program\n");
    assert.equal((await look("/etc/hostname")).stdout, "of the image\n");
    assertNothingLeft(container);
  },
);

testIf(
  "agent: a root that may only be read is mounted so; TERM is the program's",
  NEEDS,
  async () => {
    await using scope = new Scope();
    const script =
      "trap 'exit 3' TERM; busybox touch /tmp/new; busybox grep -c ' / ext4 ro' /proc/mounts; " +
      "while :; do busybox sleep 0.1; done";
    const { container } = await rootContainer(scope, script, { readOnly: true });
    const { code } = await container.spawn(scope, "run");
    await container.waitForOutput("1\n");
    await container.kill("TERM");
    assert.equal(await code, 3);
    assert.match(container.errors(), /touch: \/tmp\/new: Read-only file system/);
  },
);

testIf(
  "agent: a disk without a root that is known is an error, which names agent: none",
  NEEDS,
  async () => {
    await using scope = new Scope();
    const { container, disk } = await rootContainer(scope, "");
    const file = new Uint8Array(1 << 20);
    file.set(new TextEncoder().encode("LABELONE"), 512);
    await Deno.writeFile(disk, file);
    const { code, stdout, stderr } = await container.run();
    assert.deepEqual([code, stdout], [255, ""]);
    assert.match(stderr, /urunc: cannot mount the root \/dev\/vda: it has LVM: errno 19/);
    assert.match(stderr, /com\.urunc\.unikernel\.agent: none/);
  },
);

testIf(
  "agent: a disk without a driver for it, or a RAM disk, is an error that says so",
  NEEDS,
  async () => {
    await using scope = new Scope();
    const { container } = await rootContainer(scope, "", { hasInitrd: false });
    const { code, stdout, stderr } = await container.run();
    assert.deepEqual([code, stdout], [255, ""]);
    assert.match(
      stderr,
      /urunc: cannot find the root, for which .* no driver, \/dev\/vda: errno 2/,
    );
    assert.match(stderr, /com\.urunc\.unikernel\.agent: none/);
  },
);
