import assert from "node:assert/strict";
import * as linux from "../../../ffi/linux.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { AT_REMOVEDIR } from "../../support/kernel.ts";

Deno.test("stat agrees with Deno's stat", () => {
  for (const path of ["/etc/passwd", "/dev/null", "/", "/proc/self/exe"]) {
    const theirs = Deno.statSync(path);
    const ours = linux.statPath(path);
    assert.deepEqual(
      [ours.ino, ours.mode, ours.uid, ours.gid, ours.size, ours.nlink],
      [theirs.ino, theirs.mode, theirs.uid, theirs.gid, theirs.size, theirs.nlink],
      path,
    );
  }
  assert.deepEqual(linux.statPath("/dev/null").rdev, { major: 1, minor: 3 });
  assert.throws(() => linux.statPath("/etc/passwd/x"), { operation: "statx", code: "ENOTDIR" });
});

Deno.test("a symbolic link is followed, or read itself", async () => {
  await using scope = new Scope();
  const path = await scope.temporaryDirectory("files");
  linux.symlinkat("/dev/null", linux.AT_FDCWD, `${path}/link`);
  assert.equal(Deno.readLinkSync(`${path}/link`), "/dev/null");
  assert.equal(linux.statPath(`${path}/link`).mode & linux.S_IFMT, linux.S_IFCHR);
  assert.equal(linux.lstatPath(`${path}/link`).mode & linux.S_IFMT, linux.S_IFLNK);
  assert.throws(() => linux.symlinkat("x", linux.AT_FDCWD, `${path}/link`), { code: "EEXIST" });
  const fd = linux.open(`${path}/link`, linux.O_PATH | linux.O_NOFOLLOW);
  try {
    assert.equal(linux.fstat(fd).mode & linux.S_IFMT, linux.S_IFLNK);
    Deno.removeSync(`${path}/link`);
    linux.symlinkat("/etc/passwd", linux.AT_FDCWD, `${path}/link`);
    assert.equal(linux.readLink(fd), "/dev/null");
  } finally {
    linux.close(fd);
  }
  assert.throws(() => linux.fstat(fd), { operation: "statx", code: "EBADF" });
});

Deno.test("directories are made and removed relative to a descriptor", async () => {
  await using scope = new Scope();
  const path = await scope.temporaryDirectory("files");
  const fd = linux.open(path, linux.O_PATH | linux.O_DIRECTORY);
  scope.defer("close", () => linux.close(fd));
  const before = linux.umask(0);
  scope.defer("umask", () => linux.umask(before));
  linux.mkdirat(fd, "dir", 0o751);
  assert.equal(linux.statAt(fd, "dir", 0).mode, linux.S_IFDIR | 0o751);
  assert.throws(() => linux.mkdirat(fd, "dir", 0o751), { operation: "mkdirat", code: "EEXIST" });
  assert.throws(() => linux.unlinkat(fd, "dir", 0), { operation: "unlinkat", code: "EISDIR" });
  linux.unlinkat(fd, "dir", AT_REMOVEDIR);
  assert.throws(() => linux.statAt(fd, "dir", 0), { code: "ENOENT" });
});

Deno.test("modes change by descriptor and by path", async () => {
  await using scope = new Scope();
  const path = `${await scope.temporaryDirectory("files")}/file`;
  Deno.writeTextFileSync(path, "");
  const fd = linux.open(path, linux.O_RDONLY);
  scope.defer("close", () => linux.close(fd));
  linux.fchmod(fd, 0o4751);
  assert.equal(linux.fstat(fd).mode, linux.S_IFREG | 0o4751);
  linux.fchmodat(linux.AT_FDCWD, path, 0o600);
  assert.equal(linux.fstat(fd).mode, linux.S_IFREG | 0o600);
  assert.throws(() => linux.fchmod(987_654, 0), { operation: "fchmod", code: "EBADF" });
  assert.throws(() => linux.fchmodat(linux.AT_FDCWD, `${path}x`, 0), { code: "ENOENT" });
});

Deno.test("the owner is unchanged; a missing file is an error", async () => {
  await using scope = new Scope();
  const path = `${await scope.temporaryDirectory("files")}/file`;
  Deno.writeTextFileSync(path, "");
  const { uid, gid } = linux.statPath(path);
  linux.fchownat(linux.AT_FDCWD, path, uid, gid, 0);
  assert.throws(() => linux.fchownat(linux.AT_FDCWD, `${path}x`, uid, gid, 0), {
    operation: "fchownat",
    code: "ENOENT",
  });
});

Deno.test("a fifo is a node that anybody may make", async () => {
  await using scope = new Scope();
  const path = `${await scope.temporaryDirectory("files")}/fifo`;
  linux.mknodat(linux.AT_FDCWD, path, linux.S_IFIFO | 0o600, { major: 0, minor: 0 });
  assert.equal(linux.statPath(path).mode & linux.S_IFMT, linux.S_IFIFO);
  assert.throws(
    () => linux.mknodat(linux.AT_FDCWD, path, linux.S_IFIFO, { major: 0, minor: 0 }),
    { operation: "mknodat", code: "EEXIST" },
  );
});

testIf("a device node has the numbers it was given", { needs: ["root"] }, async () => {
  await using scope = new Scope();
  const path = await scope.temporaryDirectory("files");
  for (const device of [{ major: 10, minor: 232 }, { major: 259, minor: 70_000 }]) {
    const node = `${path}/${device.major}`;
    linux.mknodat(linux.AT_FDCWD, node, linux.S_IFBLK | 0o600, device);
    assert.deepEqual(linux.statPath(node).rdev, device);
    linux.fchownat(linux.AT_FDCWD, node, 65534, 65533, linux.AT_SYMLINK_NOFOLLOW);
    const { uid, gid, mode } = linux.statPath(node);
    assert.deepEqual([uid, gid, mode], [65534, 65533, linux.S_IFBLK | 0o600]);
  }
});

Deno.test("the working directory changes by path and by descriptor", () => {
  const home = linux.open(".", linux.O_PATH | linux.O_DIRECTORY);
  try {
    linux.chdir("/proc");
    assert.equal(Deno.readLinkSync("/proc/self/cwd"), "/proc");
    linux.fchdir(home);
    assert.notEqual(Deno.readLinkSync("/proc/self/cwd"), "/proc");
  } finally {
    linux.fchdir(home);
    linux.close(home);
  }
  assert.throws(() => linux.chdir("/etc/passwd"), { operation: "chdir", code: "ENOTDIR" });
  assert.throws(() => linux.fchdir(987_654), { operation: "fchdir", code: "EBADF" });
});

Deno.test("umask returns the one before", () => {
  const before = linux.umask(0o027);
  assert.equal(linux.umask(before), 0o027);
});

Deno.test("a file without the attribute has undefined, a missing file an error", () => {
  assert.equal(linux.getxattr("/etc/passwd", "user.urunc.test"), undefined);
  assert.equal(linux.getxattr("/proc/self/status", "system.posix_acl_access"), undefined);
  assert.throws(() => linux.getxattr("/does/not/exist", "user.x"), {
    operation: "getxattr",
    code: "ENOENT",
  });
});

Deno.test("an attribute's value is read whole", async () => {
  await using scope = new Scope();
  const path = `${await scope.temporaryDirectory("files")}/file`;
  Deno.writeTextFileSync(path, "");
  for (const value of ["", "value", "long".repeat(200)]) {
    setxattr(path, "user.urunc.test", value);
    const read = linux.getxattr(path, "user.urunc.test");
    assert.equal(new TextDecoder().decode(read), value);
  }
});

/** The wrappers have no use for it. @see setxattr(2) */
function setxattr(path: string, name: string, value: string): void {
  const library = Deno.dlopen("libc.so.6", {
    setxattr: { parameters: ["buffer", "buffer", "buffer", "usize", "i32"], result: "i32" },
  });
  try {
    const [file, key, data] = [`${path}\0`, `${name}\0`, value].map((it) =>
      new TextEncoder().encode(it) as Uint8Array<ArrayBuffer>
    ) as [Uint8Array, Uint8Array, Uint8Array];
    assert.equal(library.symbols.setxattr(file, key, data, BigInt(data.length), 0), 0);
  } finally {
    library.close();
  }
}
