/** Disk images of guests, in the image: what monitor and guest can do with them. */
import assert from "node:assert/strict";
import { extraFds } from "../support/double.ts";
import { waitFor } from "../support/process.ts";
import {
  assertFailed,
  Container,
  type ContainerOptions,
  doubleContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { SECTOR, SECTORS } from "../support/volumes.ts";

const IMAGE = "/unikernel/disk.img";
/** SIGXFSZ, signal(7). */
const BEYOND_LIMIT = 25;
const EFBIG = 27;
/** open(2) */
const EACCES = 13;
const ENOENT = 2;
const EROFS = 30;

interface ImageOptions {
  uid?: number;
  mode?: number;
  readOnlyRoot?: boolean;
}

/** Options of a container whose image has a disk image. */
function withImage({ readOnlyRoot = false }: ImageOptions = {}): ContainerOptions {
  return {
    unikernel: { block: IMAGE },
    edit: (config) => config.root = { path: "rootfs", readonly: readOnlyRoot },
  };
}

async function makeImage(rootfs: string, { uid = 65534, mode = 0o600 }: ImageOptions = {}) {
  const content = new Uint8Array(SECTORS * SECTOR);
  content.set(new TextEncoder().encode("from the image\n"), SECTOR);
  await Deno.writeFile(`${rootfs}${IMAGE}`, content);
  await Deno.chmod(`${rootfs}${IMAGE}`, mode);
  await Deno.chown(`${rootfs}${IMAGE}`, uid, uid);
}

/** The text at the beginning of a sector of the image, as the host sees it. */
function sectorOf(rootfs: string, sector: number): string {
  const content = Deno.readFileSync(`${rootfs}${IMAGE}`).subarray(sector * SECTOR);
  return new TextDecoder().decode(content.subarray(0, content.indexOf(0)));
}

const images: { name: string; image: ImageOptions }[] = [
  { name: "the monitor's user owns", image: {} },
  { name: "only root may open, by a descriptor", image: { uid: 0 } },
  { name: "only root may write to, by a descriptor", image: { uid: 0, mode: 0o644 } },
];

for (const { name, image } of images) {
  testIf(`a guest writes to a disk image that ${name}`, {
    needs: ["root", "kvm", "qemu-system-x86_64"],
  }, async () => {
    await using scope = new Scope();
    const container = await Container.prepare(scope, {
      ...withImage(image),
      args: ["disk", "0", "size", "read", "1", "write", "7", "by-the-guest", "read", "7"],
    });
    await makeImage(container.rootfs, image);
    const { code, stdout, stderr } = await container.run();
    assert.equal(
      stdout,
      [
        `disk 0: ${SECTORS} sectors, writable, serial block`,
        "read 1: from the image",
        "wrote 7",
        "read 7: by-the-guest",
        "",
      ].join("\n"),
      stderr,
    );
    assert.equal(code, 0);
    assert.equal(sectorOf(container.rootfs, 7), "by-the-guest\n");
    const { uid, mode } = Deno.statSync(`${container.rootfs}${IMAGE}`);
    assert.deepEqual([uid, mode! & 0o7777], [image.uid ?? 65534, image.mode ?? 0o600]);
  });
}

testIf("a monitor cannot make its guest's disk image larger than the guest's memory", {
  needs: ["root", "gcc"],
}, async () => {
  await using scope = new Scope();
  const tries: [offset: number, errno: number][] = [
    [0, 0],
    [(256 << 20) - 1, 0],
    [256 << 20, EFBIG],
    [2 ** 36, EFBIG],
  ];
  const writes = tries.map(([offset]) => `write-at /guest/disk0 ${offset}`);
  const container = await doubleContainer(
    scope,
    [`ignore ${BEYOND_LIMIT}`, ...writes, "idle"].join("; "),
    withImage(),
  );
  await makeImage(container.rootfs);
  await container.mustStart();
  await waitFor(() => container.output().split("\n").length > tries.length, {
    timeoutSeconds: 10,
    what: "the last write",
  });
  const lines = container.output().split("\n");
  tries.forEach(([offset, errno], at) => {
    assert.deepEqual(JSON.parse(lines[at]!), { errno }, `${offset}`);
  });
  assert.equal(Deno.statSync(`${container.rootfs}${IMAGE}`).size, 256 << 20);
});

testIf("what QEMU cannot write for a limit of config.json on files fails for its guest, too", {
  needs: ["root", "kvm", "qemu-system-x86_64"],
}, async () => {
  await using scope = new Scope();
  // It writes whole blocks of 4 KiB.
  const limit = 8 * SECTOR;
  const container = await Container.prepare(scope, {
    ...withImage(),
    edit: (config) => {
      config.root = { path: "rootfs", readonly: false };
      config.process.rlimits = [{ type: "RLIMIT_FSIZE", soft: limit, hard: limit }];
    },
    args: ["disk", "0", "write", "7", "within", "write", "8", "beyond", "write", "3", "again"],
  });
  await makeImage(container.rootfs);
  const { stdout } = await container.run();
  assert.equal(stdout, "wrote 7\nwrite 8 failed: 1\nwrote 3\n");
});

const readOnly: { name: string; image: ImageOptions }[] = [
  { name: "of a read-only container", image: { readOnlyRoot: true } },
  { name: "that nobody may write to", image: { mode: 0o444 } },
  {
    name: "of a read-only container that only root may read",
    image: { readOnlyRoot: true, uid: 0 },
  },
];

for (const { name, image } of readOnly) {
  testIf(`a guest reads a disk image ${name}, and cannot write to it`, {
    needs: ["root", "kvm", "qemu-system-x86_64"],
  }, async () => {
    await using scope = new Scope();
    const container = await Container.prepare(scope, {
      ...withImage(image),
      args: ["disk", "0", "size", "read", "1", "write", "7", "by-the-guest"],
    });
    await makeImage(container.rootfs, image);
    const { code, stdout, stderr } = await container.run();
    assert.equal(
      stdout,
      [
        `disk 0: ${SECTORS} sectors, read-only, serial block`,
        "read 1: from the image",
        "write 7 failed: 1",
        "",
      ].join("\n"),
      stderr,
    );
    assert.equal(code, 1);
    assert.equal(sectorOf(container.rootfs, 7), "");
  });
}

interface Seen {
  name: string;
  image: ImageOptions;
  /** errno of opening the image for writing by its path; 0: it can be. */
  write: number;
  /** Access mode of the inherited descriptor, when there is one: 0 reads, 2 reads and writes. */
  descriptor?: number;
}

const seen: Seen[] = [
  // Its claim, by which no other guest has the image.
  { name: "its own", image: {}, write: 0, descriptor: 2 },
  { name: "its own, to be read", image: { readOnlyRoot: true }, write: EROFS },
  { name: "one that nobody may write to", image: { mode: 0o444 }, write: EACCES },
  { name: "root's", image: { uid: 0 }, write: ENOENT, descriptor: 2 },
  {
    name: "root's, to be read",
    image: { uid: 0, readOnlyRoot: true },
    write: ENOENT,
    descriptor: 0,
  },
];

for (const { name, image, write, descriptor } of seen) {
  testIf(`a monitor can do no more with a disk image than its guest: ${name}`, {
    needs: ["root", "gcc"],
  }, async () => {
    await using scope = new Scope();
    const container = await doubleContainer(
      scope,
      `open /guest/disk0 rw; report; idle`,
      withImage(image),
    );
    await makeImage(container.rootfs, image);
    await container.mustStart();
    const report = await container.report();
    const [tried] = container.output().split("\n");
    assert.deepEqual(JSON.parse(tried!), { errno: write });
    const extra = extraFds(report);
    if (descriptor === undefined) {
      assert.deepEqual(extra, []);
    } else {
      assert.equal(extra.length, 1);
      const [{ type, fd, size, flags }] = extra as [typeof extra[0] & object];
      assert.deepEqual([type, fd, size, flags & 3], ["file", 3, SECTORS * SECTOR, descriptor]);
    }
    // Nothing of the image but what it names.
    const guest = report.root.filter(({ name }) => name === "unikernel");
    assert.deepEqual(guest, []);
  });
}

const refused: { name: string; make: (rootfs: string) => void; message: RegExp }[] = [
  { name: "no file", make: () => {}, message: /disk.img: no such file/ },
  {
    name: "a directory",
    make: (rootfs) => Deno.mkdirSync(`${rootfs}${IMAGE}`),
    message: /disk.img: it is a directory, not a regular file/,
  },
  {
    name: "a link to a file of the host",
    make: (rootfs) => Deno.symlinkSync("/etc/shadow", `${rootfs}${IMAGE}`),
    message: /disk.img: no such file/,
  },
  {
    name: "a link out of the image",
    make: (rootfs) => Deno.symlinkSync("../../../../../etc/shadow", `${rootfs}${IMAGE}`),
    message: /disk.img: no such file/,
  },
];

for (const { name, make, message } of refused) {
  testIf(`a disk image that is ${name} is refused`, { needs: ["root", "gcc"] }, async () => {
    await using scope = new Scope();
    const container = await doubleContainer(scope, "idle", withImage());
    make(container.rootfs);
    assertFailed(await container.create(), [message]);
    assert.ok(!container.exists());
  });
}
