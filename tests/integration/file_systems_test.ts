/**
 * File systems as other people's programs test them: root and volume of a guest, shared by virtiofs, beside an
 * ext4 on a disk of the same guest.
 */
import assert from "node:assert/strict";
import { nodeWithKernel, UNDESCRIBED } from "../support/node_kernel.ts";
import { run } from "../support/process.ts";
import { assertNothingLeft, Container } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const NEEDS = {
  needs: [
    ...["root", "qemu-system-x86_64", "virtiofsd", "busybox", "cpio", "apt-get", "gcc"],
    ...["mkfs.ext4", "fio", "stress-ng", "ldd"],
  ],
  timeoutSeconds: 400,
  inNode: false as const,
};

/** The container's user, which all that the guest writes belongs to, also where a program in it is root. */
const USER = 1000;

/** How a case of file_calls.c comes out on what is shared, where that is not as on ext4. */
interface Difference {
  /** Those in which it is, of the guest: root, or the container's. */
  users: number[];
  shared: string;
  why: string;
}

const DIFFERENCES: Record<string, Difference> = {
  "fallocate": {
    users: [0, USER],
    shared: "plain=ok size=1048576 blocks=1 keep=ok punch=ok byte=0 zero=ok collapse=EOPNOTSUPP " +
      "insert=EOPNOTSUPP size=1048576",
    why: "FUSE has no ranges to collapse or insert (fs/fuse/file.c, fuse_file_fallocate())",
  },
  "other xattr": {
    users: [0],
    shared: "trusted=EPERM capability=EPERM",
    why: "on the host these take capabilities, which the file server has not",
  },
  "acl": {
    users: [0, USER],
    shared: "access=EOPNOTSUPP mode=100644 default=EOPNOTSUPP",
    why: "lists name users, and those of the guest are none of the host's",
  },
  "modes": {
    users: [0],
    shared: "all=ok 107777 written=101777 truncated=100755 chown=ok given=100755 directory=ok " +
      "43777 inner=42755",
    why: "to the host root is the container's user, whose writes clear set-uid and set-gid bits",
  },
  "owners": {
    users: [0],
    shared: "own=0 give=ok 0:0 link=ok none=ok",
    why: "all files that a guest makes are the container's user's, and remain so",
  },
  "devices": {
    users: [0],
    shared: "null=EPERM whiteout=ok regular=ok",
    why: "the file server cannot make devices",
  },
  "nameless": {
    users: [0, USER],
    shared: "open=EOPNOTSUPP",
    why: "virtiofsd does not know FUSE_TMPFILE",
  },
  "flags": {
    users: [0, USER],
    shared: "get=ENOTTY set=ENOTTY",
    why: "virtiofsd takes no ioctl",
  },
  "permissions": {
    users: [0],
    shared: "read=EACCES access=ok search=ok list=EACCES own=ok",
    why: "root in the guest passes over what the guest's kernel checks, and not the host's",
  },
  "numbers": {
    users: [0, USER],
    shared: "statx=ok birth=0 far=ok size=8796093022208 vector=4 links=3",
    why: "FUSE does not pass on when a file was made",
  },
};

/** fio's jobs write 1 MiB each and read them again by their checksums. */
const FIO = [
  ...["fio", "--size=1m", "--verify=crc32c", "--verify_fatal=1", "--do_verify=1", "--bs=16k"],
  ...["--output-format=terse", "--directory=."],
  ...["--name=sequential", "--rw=write", "--ioengine=psync", "--end_fsync=1"],
  ...["--name=random", "--rw=randwrite", "--ioengine=libaio", "--direct=1", "--iodepth=4"],
  ...["--name=mapped", "--rw=randwrite", "--ioengine=mmap", "--bs=4k"],
].join(" ");

/** stress-ng's stressors of file systems, so many of their own operations each, which it checks. */
const STRESSORS = {
  ...{ access: 5, chmod: 5, dentry: 32, dir: 5, fallocate: 1, flock: 10, fpunch: 1, getdent: 5 },
  ...{ hdd: 1, iomix: 10, lockf: 10, lockofd: 10, open: 10, rename: 10, seek: 10, xattr: 1 },
};

const STRESS = [
  "stress-ng --temp-path . --verify --timeout 60 --fallocate-bytes 1m --hdd-bytes 1m",
  "--iomix-bytes 1m --seek-size 1m --fpunch-bytes 1m",
  ...Object.entries(STRESSORS).map(([name, count]) => `--${name} 1 --${name}-ops ${count}`),
].join(" ");

/** Programs with all that these are linked with, at the places where the host has them. */
async function copyPrograms(rootfs: string, names: string[]): Promise<void> {
  await Deno.mkdir(`${rootfs}/bin`);
  await Deno.copyFile("/usr/bin/busybox", `${rootfs}/bin/busybox`);
  for (const name of ["awk", "mkdir", "mount", "sh"]) {
    await Deno.symlink("busybox", `${rootfs}/bin/${name}`);
  }
  const libraries = new Set<string>();
  for (const name of names) {
    await Deno.copyFile(`/usr/bin/${name}`, `${rootfs}/bin/${name}`);
    const { stdout } = await run(["ldd", `/usr/bin/${name}`], { check: true });
    for (const [path] of stdout.matchAll(/\/\S+/g)) libraries.add(path);
  }
  for (const path of libraries) {
    await Deno.mkdir(`${rootfs}${path.slice(0, path.lastIndexOf("/"))}`, { recursive: true });
    await Deno.copyFile(path, `${rootfs}${path}`);
  }
}

/** A container of an image with these programs, root in its guest, and the user's files on the host. */
async function programsContainer(scope: Scope, script: string): Promise<Container> {
  const ids = `[ids]\ndefault_user = "${USER}:${USER}"`;
  const volume = await scope.temporaryDirectory("volume");
  const disk = `${await scope.temporaryDirectory("disk")}/ext4.img`;
  await run(["mkfs.ext4", "-q", "-b", "4096", disk, "96M"], { check: true });
  for (const path of [volume, disk]) await Deno.chown(path, USER, USER);
  const capabilities = [
    ...[
      "CHOWN",
      "DAC_OVERRIDE",
      "FOWNER",
      "FSETID",
      "LEASE",
      "MKNOD",
      "SETFCAP",
      "SETGID",
      "SETUID",
    ],
    ...["SYS_ADMIN"],
  ].map((it) => `CAP_${it}`);
  const container = await Container.prepare(scope, {
    config: await nodeWithKernel(scope, `${UNDESCRIBED}\n${ids}`),
    args: ["sh", "-c", script],
    env: ["PATH=/bin"],
    edit: (config) => {
      config.root = { path: "rootfs", readonly: false };
      config.process.cwd = "/";
      config.process.user = { uid: 0, gid: 0 };
      config.process.capabilities = {
        bounding: capabilities,
        effective: capabilities,
        permitted: capabilities,
      };
      config.mounts = [
        { destination: "/proc", type: "proc", source: "proc" },
        { destination: "/dev", type: "tmpfs", source: "tmpfs" },
        ...[[volume, "/volume"], [disk, "/disk"]].map(([source, destination]) => ({
          ...{ source, destination: destination!, type: "bind", options: ["rbind"] },
        })),
      ];
    },
  });
  const { rootfs } = container;
  await Deno.remove(`${rootfs}/urunc.json`);
  await Deno.remove(`${rootfs}/unikernel`, { recursive: true });
  await copyPrograms(rootfs, ["fio", "stress-ng"]);
  const source = new URL("file_calls.c", import.meta.url).pathname;
  const target = `${rootfs}/bin/file_calls`;
  await run(["gcc", "-static", "-O1", "-Wall", "-Wextra", "-Werror", "-o", target, source], {
    check: true,
  });
  for (const path of [rootfs, `${rootfs}/disk`, `${rootfs}/root`]) {
    await Deno.mkdir(path, { recursive: true });
    await Deno.chown(path, USER, USER);
  }
  return container;
}

/** What a script printed, by the titles of its parts: lines `## TITLE`. */
function partsOf(output: string): Map<string, string> {
  return new Map(
    output.split(/^## /m).slice(1).map((part) => {
      const end = part.indexOf("\n");
      return [part.slice(0, end), part.slice(end + 1)];
    }),
  );
}

/** The results of file_calls.c, by the names of its cases. */
function resultsOf(text: string | undefined): Map<string, string> {
  return new Map(
    (text ?? "").trim().split("\n").map((line): [string, string] => {
      const colon = line.indexOf(": ");
      return [line.slice(0, colon), line.slice(colon + 2)];
    }),
  );
}

testIf("file systems: root and volume are as ext4, but for what is listed", NEEDS, async () => {
  await using scope = new Scope();
  const script = `
    mount -t ext4 /dev/vda /disk
    for user in 0 ${USER}; do for place in disk root volume; do
      echo "## $place $user"; file_calls /$place $user
    done; done
    echo "## end"`;
  const container = await programsContainer(scope, script);
  const { code } = await container.spawn(scope, "run");
  assert.equal(await code, 0, container.errors());
  const stdout = container.output();
  const parts = partsOf(stdout);
  assert.ok(parts.has("end"), stdout + container.errors());
  for (const user of [0, USER]) {
    const expected = resultsOf(parts.get(`disk ${user}`));
    assert.equal(expected.get("many"), "open=100 first=ok", stdout);
    for (const [name, { users, shared }] of Object.entries(DIFFERENCES)) {
      if (!users.includes(user)) continue;
      assert.notEqual(expected.get(name), shared, `${name} is no difference as ${user}`);
      expected.set(name, shared);
    }
    for (const place of ["root", "volume"]) {
      assert.deepEqual(resultsOf(parts.get(`${place} ${user}`)), expected, `${place} as ${user}`);
    }
  }
  assertNothingLeft(container);
});

testIf("file systems: fio and stress-ng find no fault in root and volume", NEEDS, async () => {
  await using scope = new Scope();
  const script = `
    for place in root volume; do
      cd /$place
      echo "## fio $place"; ${FIO} 2>&1; echo "ended with $?"
      echo "## stress-ng $place"; ${STRESS} 2>&1; echo "ended with $?"
    done`;
  const container = await programsContainer(scope, script);
  const { code } = await container.spawn(scope, "run");
  assert.equal(await code, 0, container.errors());
  const parts = partsOf(container.output());
  for (const place of ["root", "volume"]) {
    for (const program of ["fio", "stress-ng"]) {
      const part = parts.get(`${program} ${place}`) ?? "";
      assert.match(part, /^ended with 0$/m, `${program} on ${place}: ${part}${container.errors()}`);
    }
  }
  assertNothingLeft(container);
});
