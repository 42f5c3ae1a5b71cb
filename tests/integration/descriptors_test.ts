/** device_access = "fd": the monitor has open descriptors, and no device node at all. */
import assert from "node:assert/strict";
import { extraFds } from "../support/double.ts";
import { readDevice } from "../../lib/host/devices.ts";
import { readStatus, run, waitFor } from "../support/process.ts";
import {
  assertFailed,
  assertNothingLeft,
  assertSucceeded,
  Container,
  type ContainerOptions,
  doubleContainer,
  linuxContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { putOnDisk, ROOT_DISK_ANNOTATION, ROOT_DISK_NEEDS } from "../support/root_disk.ts";
import { loopDevice, SECTORS, textAt, withVolumes } from "../support/volumes.ts";
import { withoutBinary } from "../support/without.ts";
import { makePair } from "./network_support.ts";

const CONFIGURATION = 'device_access = "fd"\n';
/** open(2) */
const ENOENT = 2;
const EROFS = 30;
const ENOSPC = 28;
/** ST_NODEV, statfs(2) */
const ST_NODEV = 4n;
/** linux/major.h, linux/miscdevice.h */
const TUN = { major: 10, minor: 200 };

async function configurationFile(scope: Scope): Promise<string> {
  const path = `${await scope.temporaryDirectory("config")}/config.toml`;
  await Deno.writeTextFile(path, CONFIGURATION);
  return path;
}

/** A monitor that runs: unprivileged, without a group, and without a node in its root. */
function assertBare(pid: number): void {
  const status = readStatus(pid);
  assert.deepEqual(status.uids, [65534, 65534, 65534, 65534]);
  assert.deepEqual(status.gids, [65534, 65534, 65534, 65534]);
  assert.deepEqual(status.groups, []);
  assert.equal(status.capabilities.effective, 0n);
  assert.equal(status.noNewPrivs, 1);
  assert.deepEqual([...Deno.readDirSync(`/proc/${pid}/root/dev`)], []);
}

testIf("a guest on KVM with a disk needs no device node", {
  needs: ["root", "kvm", "qemu-system-x86_64", "losetup"],
}, async () => {
  await using scope = new Scope();
  const { device, backing } = await loopDevice(scope);
  const locked = await loopDevice(scope);
  const container = await Container.prepare(scope, {
    ...withVolumes(
      { source: device, destination: "/data" },
      { source: locked.device, destination: "/locked", readOnly: true },
    ),
    config: await configurationFile(scope),
    args: "disk 0 size read 1 write 2 by-descriptor disk 1 size write 2 x idle".split(" "),
  });
  const pid = await container.mustStart();
  const output = await container.waitForOutput("idle\n");
  assert.equal(
    output,
    [
      `disk 0: ${SECTORS} sectors, writable, serial data`,
      "read 1: from the device",
      "wrote 2",
      `disk 1: ${SECTORS} sectors, read-only, serial locked`,
      "write 2 failed: 1",
      "idle",
      "",
    ].join("\n"),
  );
  assertBare(pid);
  assertSucceeded(await container.kill("KILL"));
  await container.waitForStatus("stopped");
  assertSucceeded(await container.delete());
  assertNothingLeft(container, pid);
  await run(["blockdev", "--flushbufs", device], { check: true });
  assert.equal(textAt(backing, 2, 14), "by-descriptor\n");
  assert.equal(textAt(locked.backing, 2, 1), "\0");
});

testIf("a guest whose disk is the container's root needs no device node", {
  needs: ["kvm", "qemu-system-x86_64", ...ROOT_DISK_NEEDS],
}, async () => {
  await using scope = new Scope();
  const container = await Container.prepare(scope, {
    annotations: ROOT_DISK_ANNOTATION,
    edit: (config) => config.root = { path: "rootfs", readonly: false },
    config: await configurationFile(scope),
    // The first sectors are a boot loader's, and no file system's.
    args: "disk 0 read 0 write 1 by-descriptor read 1 idle".split(" "),
  });
  const { file } = await putOnDisk(scope, container);
  const pid = await container.mustStart();
  const output = await container.waitForOutput("idle\n");
  assert.equal(output, "read 0: \nwrote 1\nread 1: by-descriptor\nidle\n");
  assertBare(pid);
  assertSucceeded(await container.kill("KILL"));
  await container.waitForStatus("stopped");
  assertSucceeded(await container.delete());
  assertNothingLeft(container, pid);
  assert.equal(textAt(file, 1, 14), "by-descriptor\n");
  assertSucceeded(await run(["e2fsck", "-fn", file]), "e2fsck");
});

testIf("a guest on a network needs no device node", {
  needs: ["root", "qemu-system-x86_64", "ip", "tc", "busybox", "cpio", "apt-get"],
  timeoutSeconds: 240,
}, async () => {
  await using scope = new Scope();
  const { container: namespace, host } = await makePair(scope);
  const types = ["pid", "ipc", "uts", "mount"].map((type) => ({ type }));
  const container = await linuxContainer(scope, {
    disk: { http: "by a descriptor\n" },
    args: ["/init"],
    namespaces: [...types, { type: "network", path: `/run/netns/${namespace.name}` }],
    config: await configurationFile(scope),
  });
  const pid = await container.mustStart();
  assertBare(pid);
  const body = await waitFor(async () => {
    const get = host.command("busybox", "wget", "-q", "-T", "2", "-O", "-", "http://10.9.0.2/");
    const { code, stdout } = await run(get);
    return code === 0 ? stdout : undefined;
  }, { timeoutSeconds: 120, what: "the guest's page", intervalMilliseconds: 300 });
  assert.equal(body, "by a descriptor\n");
  assertSucceeded(await container.delete("--force"));
  assert.doesNotMatch(await namespace.look("ip link"), /tap0_urunc/);
  assertNothingLeft(container, pid);
});

/** A container of the double with a network and two disks. */
async function doubleWithAll(scope: Scope, commands: string, options: ContainerOptions = {}) {
  const own = await loopDevice(scope);
  const read = await loopDevice(scope);
  const { container: namespace } = await makePair(scope);
  const types = ["pid", "ipc", "uts", "mount"].map((type) => ({ type }));
  const container = await doubleContainer(scope, commands, {
    ...withVolumes(
      { source: own.device, destination: "/data" },
      { source: read.device, destination: "/read", readOnly: true },
    ),
    configuration: CONFIGURATION,
    namespaces: [...types, { type: "network", path: `/run/netns/${namespace.name}` }],
    ...options,
  });
  return { container, own, read };
}

testIf("a monitor has its inherited descriptors, and finds nothing else", {
  needs: ["root", "kvm", "gcc", "losetup", "ip", "tc"],
}, async () => {
  await using scope = new Scope();
  const { container, own, read } = await doubleWithAll(
    scope,
    [
      ...["open /dev/kvm rw", "open /dev/net/tun rw", "mknod /dev/disk 7 0", "write-fd 5"],
      ...["write-fd 6", "report", "idle"],
    ].join("; "),
  );
  const before = [own.device, read.device, "/dev/kvm"].map((path) => readDevice(path));
  const pid = await container.mustStart();
  const report = await container.report();
  const tried = container.output().split("\n").slice(0, 5).map((line) => JSON.parse(line).errno);
  assert.deepEqual(tried, [ENOENT, ENOENT, EROFS, 0, 9]);
  assert.deepEqual(report.dev, []);
  assert.ok(BigInt(`0x${report.devFlags}`) & ST_NODEV, "nodes could not be opened");
  const numbersOf = (path: string) => {
    const { major, minor } = readDevice(path)!;
    return { major, minor };
  };
  const found = extraFds(report)
    .map(({ fd, type, major, minor, flags }) => ({ fd, type, major, minor, access: flags & 3 }));
  assert.deepEqual(found, [
    { fd: 3, type: "char", ...numbersOf("/dev/kvm"), access: 2 },
    { fd: 4, type: "char", ...TUN, access: 2 },
    { fd: 5, type: "block", ...numbersOf(own.device), access: 2 },
    { fd: 6, type: "block", ...numbersOf(read.device), access: 0 },
  ]);
  assertBare(pid);
  assert.deepEqual([own.device, read.device, "/dev/kvm"].map((path) => readDevice(path)), before);
});

testIf("a descriptor cannot be written beyond the end of a disk", {
  needs: ["root", "kvm", "gcc", "losetup", "ip", "tc"],
}, async () => {
  await using scope = new Scope();
  const { container } = await doubleWithAll(scope, "write-all-fd 5; idle");
  await container.mustStart();
  const line = (await container.waitForOutput("}\n")).split("\n")[0]!;
  assert.deepEqual(JSON.parse(line), { errno: ENOSPC, bytes: SECTORS * 512 });
});

testIf("every descriptor is opened by its step: without one there is no container", {
  needs: ["root", "kvm", "gcc", "losetup", "ip", "tc", "perl"],
}, async () => {
  await using scope = new Scope();
  const binary = await withoutBinary(scope);
  const cases = [["openDevice", "kvm"], ["attachTap", "tap"]] as const;
  for (const [step, name] of cases) {
    await using inner = new Scope();
    const { container } = await doubleWithAll(inner, "idle", { binary });
    const created = await container.create({ env: { URUNC_WITHOUT: step } });
    assertFailed(created, [`no step has opened ${name}`]);
    assertNothingLeft(container);
  }
});

testIf(
  "a monitor that opens its devices itself is refused",
  { needs: ["root", "kvm"] },
  async () => {
    await using scope = new Scope();
    const config = await configurationFile(scope);
    await Deno.writeTextFile(config, '[monitors.hvt]\npath = "/usr/bin/true"\n', { append: true });
    const container = await Container.prepare(scope, { config, unikernel: { hypervisor: "hvt" } });
    assertFailed(await container.create(), [
      'plan device /dev/kvm: device_access = "fd" is configured, and hvt opens its devices itself',
    ]);
    assertNothingLeft(container);
  },
);
