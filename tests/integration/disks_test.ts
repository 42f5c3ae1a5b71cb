/** Disks of guests: volumes and devices, and what monitor and guest can do with them. */
import assert from "node:assert/strict";
import { readDevice } from "../../lib/host/devices.ts";
import { run } from "../support/process.ts";
import {
  assertFailed,
  assertSucceeded,
  Container,
  doubleContainer,
  nodeDoubleContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { loopDevice, SECTOR, SECTORS, textAt, withVolumes } from "../support/volumes.ts";

/** open(2) */
const EACCES = 13;
const ENOENT = 2;
const ENOSPC = 28;
const EROFS = 30;

/** Who owns a device of the host and may use it. */
function guardOf(path: string): unknown {
  const { uid, gid, mode } = Deno.statSync(path);
  return [uid, gid, mode];
}

testIf("volumes that are devices and disk images are disks, by their places' names", {
  needs: ["root", "kvm", "qemu-system-x86_64", "losetup"],
}, async () => {
  await using scope = new Scope();
  const { device, backing } = await loopDevice(scope);
  const locked = await loopDevice(scope, ["--read-only"]);
  const image = `${await scope.temporaryDirectory("volume")}/data.img`;
  await Deno.writeFile(image, new Uint8Array(4 * SECTOR), { mode: 0o600 });
  await Deno.chown(image, 65534, 65534);
  const before = [device, locked.device, image].map(guardOf);
  const container = await Container.prepare(scope, {
    ...withVolumes(
      { source: device, destination: "/var/db" },
      { source: image, destination: "/a/place/with/a/long/name" },
      { source: device, destination: "/again", readOnly: true },
      { source: locked.device, destination: "/locked" },
    ),
    args:
      "disk 0 size read 1 write 2 first disk 1 size write 3 second disk 2 size write 5 x disk 3 size"
        .split(" "),
  });
  const { stdout, stderr } = await container.run();
  assert.equal(stderr, "", "what QEMU says is in the container's output");
  assert.equal(
    stdout,
    [
      `disk 0: ${SECTORS} sectors, writable, serial var-db`,
      "read 1: from the device",
      "wrote 2",
      "disk 1: 4 sectors, writable, serial volume1",
      "wrote 3",
      `disk 2: ${SECTORS} sectors, read-only, serial again`,
      "write 5 failed: 1",
      `disk 3: ${SECTORS} sectors, read-only, serial locked`,
      "",
    ].join("\n"),
    stderr,
  );
  await run(["blockdev", "--flushbufs", device]);
  assert.equal(textAt(backing, 2, 7), "first\n\0");
  assert.equal(textAt(image, 3, 7), "second\n");
  assert.deepEqual([device, locked.device, image].map(guardOf), before);
});

testIf("a guest gets the error of a write for which the host has no room, and goes on", {
  needs: ["root", "kvm", "qemu-system-x86_64", "mount"],
}, async () => {
  await using scope = new Scope();
  const full = await scope.temporaryDirectory("full");
  await run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", full], { check: true });
  scope.defer(`unmount ${full}`, () => run(["umount", full], { check: true }));
  const image = `${full}/sparse.img`;
  await Deno.writeFile(image, new Uint8Array(SECTOR), { mode: 0o600 });
  await Deno.chown(image, 65534, 65534);
  await Deno.truncate(image, 2 * 1024 * 1024);
  await run(["dd", "if=/dev/zero", `of=${full}/rest`, "bs=4k"]);
  const container = await Container.prepare(scope, {
    ...withVolumes({ source: image, destination: "/data" }),
    args: "disk 0 write 0 fits write 4000 full read 0".split(" "),
  });
  const { code, stdout } = await container.run();
  assert.equal(stdout, "wrote 0\nwrite 4000 failed: 1\nread 0: fits\n");
  // As of any disk that fails: the fixture ends with it.
  assert.equal(code, 1);
});

testIf(
  "a monitor has the node of its guest's device, and reaches no other and not beyond its end",
  {
    needs: ["root", "gcc", "losetup", "kvm"],
  },
  async () => {
    await using scope = new Scope();
    const { device } = await loopDevice(scope);
    const other = await loopDevice(scope);
    const { major, minor } = readDevice(other.device)!;
    const before = [device, other.device].map(guardOf);
    const tries: [command: string, errno: number][] = [
      ["write-at /dev/disk0 0", 0],
      [`write-at /dev/disk0 ${(SECTORS - 1) * SECTOR}`, 0],
      [`write-at /dev/disk0 ${SECTORS * SECTOR}`, ENOSPC],
      [`write-at /dev/disk0 ${2 ** 40}`, ENOSPC],
      ["open /dev/disk1 rw", EACCES],
      ["open /dev/disk1 r", 0],
      [`open ${other.device} r`, ENOENT],
      [`open ${device} r`, ENOENT],
      [`mknod /dev/mine ${major} ${minor}`, EROFS],
      [`mknod /guest/mine ${major} ${minor}`, EROFS],
    ];
    const own = readDevice(device)!;
    const expected = { type: "block", uid: 65534, gid: 65534, major: own.major, minor: own.minor };
    // A Linux kernel hands its init 32 words at most.
    for (const some of [tries.slice(0, 5), tries.slice(5)]) {
      await using inner = new Scope();
      const container = await nodeDoubleContainer(
        inner,
        [...some.map(([command]) => command), "report", "idle"].join(" ; "),
        withVolumes(
          { source: device, destination: "/data" },
          { source: device, destination: "/again", readOnly: true },
        ),
      );
      await container.mustStart();
      const report = await container.report();
      const lines = container.output().split("\n");
      some.forEach(([command, errno], index) => {
        assert.deepEqual(JSON.parse(lines[index]!), { errno }, command);
      });
      const nodes = report.dev.filter(({ type }) => type === "block").map((
        { name, type, mode, uid, gid, major, minor },
      ) => (
        { name, type, mode, uid, gid, major, minor }
      )).sort((a, b) => a.name < b.name ? -1 : 1);
      assert.deepEqual(nodes, [
        { name: "disk0", ...expected, mode: 0o600 },
        { name: "disk1", ...expected, mode: 0o400 },
      ]);
      // The claim, for reading, and only of what it may write.
      const claims = report.fds.filter(({ fd }) => fd > 2);
      assert.deepEqual(
        claims.map(({ fd, type, major, minor, flags }) => ({
          fd,
          type,
          major,
          minor,
          flags: flags & 3,
        })),
        [{ fd: 3, type: "block", major: own.major, minor: own.minor, flags: 0 }],
      );
    }
    assert.deepEqual([device, other.device].map(guardOf), before);
  },
);

testIf("a device that the host has mounted is not given to be written", {
  needs: ["root", "gcc", "losetup", "mkfs.ext4", "mount"],
}, async () => {
  await using scope = new Scope();
  const { device } = await loopDevice(scope);
  const place = await scope.temporaryDirectory("mounted");
  await run(["mkfs.ext4", "-q", "-F", device], { check: true });
  await run(["mount", device, place], { check: true });
  scope.defer(`unmount ${place}`, () => run(["umount", place]));
  for (const [option, code] of [["rw", 1], ["ro", 0], ["rro", 0]] as const) {
    const options = ["rbind", option];
    const volumes = withVolumes({ source: device, destination: "/data", options });
    const container = await doubleContainer(scope, "idle", volumes);
    const created = await container.create();
    assert.equal(created.code, code, created.stderr);
    if (code === 1) assertFailed(created, [`mounts[0] ${device}: the host uses it: it is mounted`]);
  }
});

testIf("no other guest, and no other QEMU, has a disk that a guest may write", {
  needs: ["root", "gcc", "losetup", "mkfs.ext4", "mount", "qemu-img"],
}, async () => {
  await using scope = new Scope();
  const { device } = await loopDevice(scope);
  const directory = await scope.temporaryDirectory("volume");
  const image = `${directory}/data.img`;
  const cases = [
    { source: device, user: 65534, reason: /mounts\[0\] .*, or another guest's disk/ },
    // Bound, and by a descriptor.
    {
      source: image,
      user: 65534,
      reason: /openVolume .*data.img.*: another guest, or another QEMU/,
    },
    { source: image, user: 0, reason: /openVolume .*data.img.*: another guest, or another QEMU/ },
  ];
  for (const { source, user, reason } of cases) {
    await Deno.writeFile(image, new Uint8Array(64 * SECTOR), { mode: 0o600 });
    await Deno.chown(image, 65534, 65534);
    const as = { user: { uid: user, gid: user } };
    const volumes = { ...withVolumes({ source, destination: "/data" }), ...as };
    const first = await doubleContainer(scope, "idle", volumes);
    await first.mustStart();
    const second = await doubleContainer(scope, "idle", volumes);
    assertFailed(await second.create(), [reason]);
    assert.ok(!second.exists());
    const reader = await doubleContainer(
      scope,
      "idle",
      { ...withVolumes({ source, destination: "/data", readOnly: true }), ...as },
    );
    await reader.mustStart();
    if (source === image) {
      const { code, stderr } = await run(["qemu-img", "resize", "-f", "raw", image, "1M"]);
      assert.notEqual(code, 0);
      assert.match(stderr, /Failed to lock byte 101/);
    } else {
      await run(["mkfs.ext4", "-q", "-F", device]);
      const mounted = await run(["mount", device, directory]);
      if (mounted.code === 0) await run(["umount", directory]);
      assert.notEqual(mounted.code, 0);
    }
    // The claim is gone with the monitor.
    assertSucceeded(await first.delete("--force"));
    await second.mustStart();
    for (const it of [second, reader]) assertSucceeded(await it.delete("--force"));
  }
});

testIf("a volume that the container's user may not open is refused, also behind a link", {
  needs: ["root", "gcc", "chown"],
}, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("volume");
  const [secret, link, own] = ["secret.img", "link.img", "own.img"].map((it) =>
    `${directory}/${it}`
  );
  await Deno.writeFile(secret!, new Uint8Array(4 * SECTOR), { mode: 0o600 });
  await Deno.writeFile(own!, new Uint8Array(4 * SECTOR), { mode: 0o600 });
  await Deno.chown(own!, 65534, 65534);
  await Deno.symlink("own.img", link!);
  await run(["chown", "-h", "65534", link!], { check: true });
  const cases: [source: string, text: string][] = [
    [secret!, `${secret} belongs to uid 0, group 0, with mode 0600: uid 65534`],
    [link!, `${link} is a symbolic link of uid 65534: name the file itself`],
  ];
  for (const [source, text] of cases) {
    for (const readOnly of [false, true]) {
      const volumes = withVolumes({ source, destination: "/data", readOnly });
      const container = await doubleContainer(scope, "idle", volumes);
      assertFailed(await container.create(), [text]);
    }
  }
  const volumes = withVolumes({ source: own!, destination: "/data" });
  const container = await doubleContainer(scope, "report; idle", volumes);
  await container.mustStart();
  const { fds } = await container.report();
  const files = fds.filter(({ fd, type }) => fd > 2 && type === "file");
  assert.deepEqual(files.map(({ ino }) => ino), [Deno.statSync(own!).ino]);
});

testIf("a volume that is swapped while its container is created is not opened for its user", {
  needs: ["root", "gcc"],
}, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("volume");
  const [secret, image] = ["secret.img", "data.img"].map((it) => `${directory}/${it}`);
  await Deno.writeFile(secret!, new Uint8Array(4 * SECTOR), { mode: 0o600 });
  for (
    const [swap, text] of [
      [`mv ${secret} ${image}`, "it belongs to uid 0, group 0, with mode 0600"],
      [`ln -sf secret.img ${image}; chown -h 65534 ${image}`, "is a symbolic link of uid 65534"],
    ]
  ) {
    await Deno.writeFile(image!, new Uint8Array(4 * SECTOR), { mode: 0o600 });
    await Deno.chown(image!, 65534, 65534);
    const volumes = withVolumes({ source: image!, destination: "/data" });
    const container = await doubleContainer(scope, "idle", {
      edit: (config) => {
        volumes.edit!(config);
        // After the volume was looked at, and before init opens it.
        const args = ["sh", "-c", swap!];
        config.hooks = { createRuntime: [{ path: "/bin/sh", args, env: ["PATH=/usr/bin:/bin"] }] };
      },
    });
    assertFailed(await container.create(), ["openVolume", text!]);
    assert.ok(!container.exists());
    await Deno.writeFile(secret!, new Uint8Array(4 * SECTOR), { mode: 0o600 });
  }
});

testIf("block devices that the container is given are disks, by their places in /dev", {
  needs: ["root", "kvm", "qemu-system-x86_64", "losetup"],
}, async () => {
  await using scope = new Scope();
  const own = await loopDevice(scope);
  const read = await loopDevice(scope);
  const container = await Container.prepare(scope, {
    edit: (config) =>
      giveDevices(config, [own.device, "/dev/xvda", "rwm"], [read.device, "/dev/xvdb", "rm"]),
    args: "disk 0 size read 1 write 2 first disk 1 size read 1 write 2 x".split(" "),
  });
  const before = [own.device, read.device].map(guardOf);
  const { stdout, stderr } = await container.run();
  assert.equal(
    stdout,
    [
      `disk 0: ${SECTORS} sectors, writable, serial xvda`,
      "read 1: from the device",
      "wrote 2",
      `disk 1: ${SECTORS} sectors, read-only, serial xvdb`,
      "read 1: from the device",
      "write 2 failed: 1",
      "",
    ].join("\n"),
    stderr,
  );
  await run(["blockdev", "--flushbufs", own.device]);
  assert.equal(textAt(own.backing, 2, 7), "first\n\0");
  assert.equal(textAt(read.backing, 2, 1), "\0");
  assert.deepEqual([own.device, read.device].map(guardOf), before);
});

testIf("of a device that the container is given the monitor has what the rules let it have", {
  needs: ["root", "gcc", "losetup", "mkfs.ext4", "mount", "kvm"],
}, async () => {
  await using scope = new Scope();
  const { device } = await loopDevice(scope);
  const give = (access: string) => (
    {
      edit: (config: Record<string, unknown>) => giveDevices(config, [device, "/dev/xvda", access]),
    }
  );
  const reader = await nodeDoubleContainer(
    scope,
    "open /dev/disk0 rw ; open /dev/disk0 r ; idle",
    give("rm"),
  );
  await reader.mustStart();
  const tried = (await reader.waitForOutput("}\n{")).split("\n").slice(0, 2);
  assert.deepEqual(tried.map((line) => JSON.parse(line).errno), [EACCES, 0]);
  assertFailed(await (await nodeDoubleContainer(scope, "idle", give("m"))).create(), [
    "linux.devices /dev/xvda: linux.resources.devices does not let it be read",
  ]);
  const solo5 = { unikernel: { unikernelType: "unikraft" }, ...give("rwm") };
  assertFailed(await (await doubleContainer(scope, "idle", solo5)).create(), [
    /xvda \(.*\): a unikraft guest on qemu can have none/,
  ]);

  const place = await scope.temporaryDirectory("mounted");
  await run(["mkfs.ext4", "-q", "-F", device], { check: true });
  await run(["mount", device, place], { check: true });
  scope.defer(`unmount ${place}`, () => run(["umount", place]));
  assertFailed(await (await doubleContainer(scope, "idle", give("rwm"))).create(), [
    /openDevice .*: it is mounted, a part of another device, or another guest's disk/,
  ]);
});

/** As the kubelet's runtimes write volumeDevices, and docker `--device`. */
function giveDevices(
  config: Record<string, unknown>,
  ...given: [source: string, path: string, access: string][]
): void {
  const found = given.map(([source, path, access]) => {
    const { major, minor } = readDevice(source)!;
    return { path, access, numbers: { type: "b", major, minor } };
  });
  const linux = config.linux as Record<string, unknown>;
  linux.devices = found.map(({ path, numbers }) => ({ path, ...numbers }));
  linux.resources = {
    devices: [
      { allow: false, access: "rwm" },
      ...found.map(({ access, numbers }) => ({ allow: true, ...numbers, access })),
    ],
  };
}

testIf("a volume that is not a disk is rejected by name", { needs: ["root", "gcc"] }, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("volume");
  await Deno.mkdir(`${directory}/directory.img`);
  await Deno.writeTextFile(`${directory}/text.img`, "no disk");
  const cases: [source: string, message: RegExp][] = [
    [directory, /mounts\[0\] .* at \/data: the guest would not see it/],
    [`${directory}/directory.img`, /mounts\[0\] .*directory.img at \/data: the guest would not/],
    [`${directory}/text.img`, /text.img at \/data: the guest would not see it/],
    ["/dev/null", /\/dev\/null at \/data: the guest would not see it/],
    [`${directory}/missing.img`, /mounts\[0\] .*missing.img: .*ENOENT/],
  ];
  for (const [source, message] of cases) {
    const volumes = withVolumes({ source, destination: "/data" });
    const container = await doubleContainer(scope, "idle", volumes);
    assertFailed(await container.create(), [message]);
    assert.ok(!container.exists());
  }
});
