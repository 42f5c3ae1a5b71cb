import assert from "node:assert/strict";
import type { BlockDevice } from "../../../lib/block/device.ts";
import { type BlockFacts, findRootDisk, hostNode } from "../../../lib/block/root_disk.ts";
import { UnsupportedError } from "../../../lib/errors.ts";
import type { DeviceFacts } from "../../../lib/host/types.ts";
import { parseMountInfo } from "../../../lib/host/mounts.ts";

const ROOTFS = "/run/task/rootfs";
const KEY = "com.urunc.unikernel.mountRootfs";

const DM: BlockDevice = {
  major: 253,
  minor: 3,
  name: "dm-3",
  kind: "device mapper",
  mapperName: "pool-snap-3",
  mapperUuid: "",
  readOnly: false,
  size: 1 << 30,
};

const HOST = [
  "1 0 259:1 / / rw - ext4 /dev/nvme0n1p1 rw",
  "2 1 0:20 / /run rw,nosuid shared:2 - tmpfs tmpfs rw",
];
const SNAPSHOT = `40 2 253:3 / ${ROOTFS} rw,relatime shared:9 - ext4 /dev/mapper/pool-snap-3 rw`;

function facts(lines: string[], device: BlockDevice | undefined = DM): BlockFacts {
  return {
    mounts: () => parseMountInfo([...HOST, ...lines].join("\n")),
    realPath: (path) => path,
    device: ({ major, minor }) =>
      device !== undefined && major === device.major && minor === device.minor ? device : undefined,
  };
}

const input = {
  rootfs: ROOTFS,
  subject: KEY,
  otherwise: "leave the key out",
  guest: "linux",
  fileSystems: ["ext4", "xfs"],
};

Deno.test("a snapshot that is mounted whole is the root disk", () => {
  assert.deepEqual(findRootDisk(input, facts([SNAPSHOT])), {
    device: DM,
    mountPoint: ROOTFS,
    fileSystem: "ext4",
    readOnly: false,
  });
});

Deno.test("of mounts that are stacked on the root, the uppermost counts, wherever it is listed", () => {
  const below = `39 2 0:50 / ${ROOTFS} rw - overlay overlay rw`;
  const above = `40 39 253:3 / ${ROOTFS} rw - ext4 /dev/dm-3 rw`;
  for (const lines of [[below, above], [above, below]]) {
    assert.equal(findRootDisk(input, facts(lines)).device, DM);
  }
  const covered = `41 40 0:51 / ${ROOTFS} rw - overlay overlay rw`;
  assert.throws(() => findRootDisk(input, facts([below, above, covered])), /is overlay/);
});

for (
  const [what, line, device] of [
    ["the mount", SNAPSHOT.replace("rw,relatime", "ro,relatime"), DM],
    ["the file system", SNAPSHOT.replace(/rw$/, "ro,errors=continue"), DM],
    ["the device", SNAPSHOT, { ...DM, readOnly: true }],
  ] as const
) {
  Deno.test(`a disk is read-only when ${what} is`, () => {
    assert.equal(findRootDisk(input, facts([line], device)).readOnly, true);
  });
}

Deno.test("what a mount is meant to be counts in place of what it is", () => {
  const mounted = facts([SNAPSHOT.replace("rw,relatime", "ro,relatime")]);
  assert.equal(findRootDisk({ ...input, readOnly: false }, mounted).readOnly, false);
  assert.equal(findRootDisk({ ...input, readOnly: true }, facts([SNAPSHOT])).readOnly, true);
});

Deno.test("guests that read sectors take any file system", () => {
  const lines = [SNAPSHOT.replace("ext4", "f2fs")];
  const raw = { ...input, guest: "elf", fileSystems: undefined };
  assert.equal(findRootDisk(raw, facts(lines)).fileSystem, "f2fs");
});

for (
  const [what, lines, reason] of [
    ["no mount at all", [], /\/run\/task\/rootfs is a directory of another file system, no mount/],
    [
      "an overlay",
      [`40 2 0:50 / ${ROOTFS} rw - overlay overlay rw`],
      /is overlay, which has no block device of its own \(use containerd's devmapper or blockfile/,
    ],
    [
      "btrfs, whose device numbers are nobody's",
      [`40 2 0:50 / ${ROOTFS} rw - btrfs /dev/vdb rw`],
      /is btrfs, which has no block device/,
    ],
    [
      "a directory of a partition",
      [`40 2 253:3 /images/7 ${ROOTFS} rw - ext4 /dev/dm-3 rw`],
      /is the directory \/images\/7 of dm-3: the guest would see all of that file system/,
    ],
    [
      "a mount below",
      [SNAPSHOT, `41 40 0:60 / ${ROOTFS}/data rw - tmpfs tmpfs rw`],
      /mounts below it that the guest would not see: \/run\/task\/rootfs\/data/,
    ],
    [
      "another file system than the guest knows",
      [SNAPSHOT.replace("ext4", "f2fs")],
      /linux guests cannot mount f2fs; what they can: ext4, xfs/,
    ],
  ] as const
) {
  Deno.test(`${what} is not a root disk; the error says why and names the key`, () => {
    assert.throws(
      () => findRootDisk(input, facts([...lines])),
      (error: UnsupportedError) =>
        error instanceof UnsupportedError && reason.test(error.message) &&
        error.parts.subject === KEY,
    );
  });
}

Deno.test("the host's own root is never a guest's disk", () => {
  const own = { ...DM, major: 259, minor: 1 };
  assert.throws(
    () => findRootDisk({ ...input, rootfs: "/" }, facts([], own)),
    /the root is the host's own/,
  );
});

Deno.test("the host's node of a device has the kernel's name for it, or device mapper's", () => {
  const { major, minor } = DM;
  const node = (path: string, number = { major, minor }): DeviceFacts => ({
    path,
    type: "block",
    ...number,
    uid: 0,
    gid: 6,
    mode: 0o660,
  });
  const found = (...nodes: DeviceFacts[]) =>
    hostNode(DM, (path) => nodes.find((it) => it.path === path));
  const [kernels, mappers] = [node("/dev/dm-3"), node("/dev/mapper/pool-snap-3")];
  assert.equal(found(mappers, kernels), kernels);
  assert.equal(found(mappers), mappers);
  const others = node("/dev/dm-3", { major, minor: 4 });
  assert.equal(found(others, mappers), mappers);
  assert.deepEqual(found(others), {
    path: "/dev/dm-3",
    noNode: true,
    type: "block",
    major,
    minor,
    uid: 0,
    gid: 0,
    mode: 0o600,
  });
});
