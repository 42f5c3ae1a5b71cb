/** Linux guests that run with a kernel of the node. */
import assert from "node:assert/strict";
import { makeLinuxInitrd } from "../support/fixtures.ts";
import { doubleTable } from "../support/double.ts";
import { nodeWithKernel, UNDESCRIBED } from "../support/node_kernel.ts";
import { run } from "../support/process.ts";
import { assertReleased, putOnDisk, ROOT_DISK_NEEDS } from "../support/root_disk.ts";
import {
  assertFailed,
  assertNothingLeft,
  assertSucceeded,
  Container,
  type ContainerOptions,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { urunc } from "../support/urunc.ts";

const QEMU = {
  needs: ["root", "qemu-system-x86_64", "busybox", "cpio", "apt-get"],
  timeoutSeconds: 120,
};

/** A container of an image that brings no kernel, but an initial RAM disk. */
async function container(scope: Scope, options: ContainerOptions): Promise<Container> {
  const initrd = await makeLinuxInitrd();
  scope.defer("remove the initrd", () => initrd.cleanup());
  const { unikernel, ...rest } = options;
  return await Container.prepare(scope, {
    unikernelType: "linux",
    initrd: initrd.path,
    env: ["PATH=/bin"],
    unikernel: { binary: undefined, hypervisor: undefined, ...unikernel },
    ...rest,
  });
}

testIf(
  "kernels of the node: a guest runs with a kernel of the node and its modules",
  QEMU,
  async () => {
    await using scope = new Scope();
    const config = await nodeWithKernel(scope);
    const script =
      "busybox cut -d ' ' -f 1 /proc/modules | busybox sort; busybox ls /urunc/modules; exit 7";
    const guest = await container(scope, {
      config,
      args: ["busybox", "sh", "-c", script],
      // Only the guest's root may list the directory.
      user: { uid: 0, gid: 0 },
    });
    const { code, stdout } = await guest.run();
    assert.deepEqual(stdout.split("\n"), [
      ...["failover", "net_failover", "virtio_blk", "virtio_net"],
      ...["modules.dep", ""],
    ]);
    assert.equal(code, 7);
    assertNothingLeft(guest);
  },
);

testIf(
  "kernels of the node: state has its name and checksum; a removed one is refused",
  QEMU,
  async () => {
    await using scope = new Scope();
    const config = await nodeWithKernel(scope);
    const listed = JSON.parse(
      (await urunc(["kernel", "list", "--format", "json"], { root: "/nowhere", config })).stdout,
    );
    assert.deepEqual(listed.map(({ name }: { name: string }) => name), ["debian"]);
    const guest = await container(scope, { config, unikernel: { kernel: "debian" } });
    assertSucceeded(await guest.create());
    const { annotations } = await guest.state();
    assert.equal(annotations!["com.urunc.kernel"], `debian sha256:${listed[0].image.sha256}`);
    assertSucceeded(await urunc(["kernel", "rm", "debian"], { root: "/nowhere", config }));
    assertSucceeded(await guest.urunc(["delete", "--force", guest.id]));
    assertFailed(await guest.create(), [
      "use kernel debian: it does not exist",
      "urunc kernel add",
    ]);
    assertNothingLeft(guest);
  },
);

testIf("kernels of the node: what cannot be run with one is refused by name", QEMU, async () => {
  await using scope = new Scope();
  const config = await nodeWithKernel(
    scope,
    '[allow]\nannotations = ["unikernelType", "initrd", "mountRootfs", "agent"]',
  );
  const cases: [ContainerOptions, ...string[]][] = [
    [{ unikernel: { kernel: "debian" } }, "com.urunc.unikernel.kernel: allow.annotations has only"],
    [
      { unikernel: { initrd: undefined, mountRootfs: "true" } },
      "find the root disk the container's root",
      "no mount",
      "com.urunc.unikernel.initrd",
    ],
    [
      { unikernel: { initrd: undefined, agent: "none" } },
      "the container's root is shared with the guest, which only an agent mounts, and it has none",
    ],
  ];
  for (const [options, ...texts] of cases) {
    const guest = await container(scope, { config, ...options });
    assertFailed(await guest.create(), texts);
    assertNothingLeft(guest);
  }
});

/** A container of an image with busybox and nothing else: no file of it is urunc's, or a kernel. */
async function busyboxContainer(
  scope: Scope,
  script: string,
  readonly: boolean,
): Promise<{ guest: Container; disk: string }> {
  const config = await nodeWithKernel(scope, UNDESCRIBED);
  const guest = await container(scope, {
    config,
    args: ["sh", "-c", script],
    user: { uid: 0, gid: 0 },
    edit: (it) => it.root = { path: "rootfs", readonly },
  });
  await Deno.remove(`${guest.rootfs}/urunc.json`);
  await Deno.remove(`${guest.rootfs}/unikernel`, { recursive: true });
  await Deno.mkdir(`${guest.rootfs}/bin`);
  await Deno.mkdir(`${guest.rootfs}/root`);
  await Deno.copyFile("/usr/bin/busybox", `${guest.rootfs}/bin/busybox`);
  for (const name of ["sh", "grep", "cut", "id", "stat"]) {
    await Deno.symlink("busybox", `${guest.rootfs}/bin/${name}`);
  }
  const { file } = await putOnDisk(scope, guest);
  return { guest, disk: file };
}

const DISK = { ...QEMU, needs: [...QEMU.needs, ...ROOT_DISK_NEEDS, "debugfs"] };

testIf(
  "kernels of the node: a container of any image is a guest, with the container's root as its disk",
  DISK,
  async () => {
    await using scope = new Scope();
    const script =
      "grep ' / ' /proc/mounts | cut -d ' ' -f 1-3; id -u; echo kept >/root/file; exit 5";
    const { guest, disk } = await busyboxContainer(scope, script, false);
    const { code, stdout } = await guest.run();
    assert.deepEqual(stdout.split("\n"), ["/dev/vda / ext4", "0", ""]);
    assert.equal(code, 5);
    await assertReleased(disk);
    const look = await run(["debugfs", "-R", "cat /root/file", disk], { check: true });
    assert.equal(look.stdout, "kept\n");
    assertNothingLeft(guest);
  },
);

testIf(
  "kernels of the node: a root that may only be read need not have the directories of a container",
  DISK,
  async () => {
    await using scope = new Scope();
    const script = "grep ' / ' /proc/mounts | cut -d ' ' -f 3; stat -c '%a %u' /; " +
      "echo new >/file; exit 6";
    const { guest, disk } = await busyboxContainer(scope, script, true);
    const { code, stdout, stderr } = await guest.run();
    assert.deepEqual(stdout.split("\n"), ["overlay", "755 0", ""]);
    assert.match(stderr, /can't create \/file: Read-only file system/);
    assert.equal(code, 6);
    await assertReleased(disk);
    assertNothingLeft(guest);
  },
);

testIf(
  "kernels of the node: a monitor that does not start Linux's own form gets the ELF file",
  { needs: ["root", "gcc", "apt-get"], timeoutSeconds: 120 },
  async () => {
    await using scope = new Scope();
    const table = await doubleTable("firecracker");
    const config = await nodeWithKernel(scope);
    await Deno.writeTextFile(config, table, { append: true });
    const guest = await container(scope, { config, unikernel: { hypervisor: "firecracker" } });
    assertFailed(await guest.create(), ["firecracker cannot emulate a processor"]);
    const text = await Deno.readTextFile(config);
    await Deno.writeTextFile(config, text.replace('accelerator = "tcg"', ""));
    const { stdout, stderr } = await guest.urunc([
      ...["--debug", "create", "--dry-run", "--bundle", guest.bundle, guest.id],
    ]);
    assert.match(stdout, /"source": ?"[^"]*\/debian\/kernel\.elf"/, stderr);
  },
);
