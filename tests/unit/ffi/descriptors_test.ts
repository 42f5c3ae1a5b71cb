import assert from "node:assert/strict";
import * as linux from "../../../ffi/linux.ts";
import { Scope } from "../../support/scope.ts";
import { LOCK_SH, LOCK_UN, RESOLVE_BENEATH } from "../../support/kernel.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function isCloexec(fd: number): boolean {
  const flags = /^flags:\s+(\d+)$/m.exec(Deno.readTextFileSync(`/proc/self/fdinfo/${fd}`));
  return (parseInt(flags?.[1] as string, 8) & linux.O_CLOEXEC) !== 0;
}

/** A connected pair that is closed with the scope. */
function pair(scope: Scope, type = linux.SOCK_STREAM): [number, number] {
  const fds = linux.socketpair(type);
  for (const fd of fds) scope.defer(`close ${fd}`, () => linux.close(fd));
  return fds;
}

function memfd(scope: Scope, content: string): number {
  const fd = linux.memfdCreate("test", linux.MFD_CLOEXEC);
  scope.defer(`close ${fd}`, () => linux.close(fd));
  linux.writeAll(fd, encoder.encode(content));
  linux.lseek(fd, 0, linux.SEEK_SET);
  return fd;
}

function readAll(fd: number): string {
  const buffer = new Uint8Array(4096);
  return decoder.decode(buffer.subarray(0, linux.read(fd, buffer)));
}

Deno.test("a file is made with its mode, written, read", async () => {
  await using scope = new Scope();
  const path = `${await scope.temporaryDirectory("fd")}/file`;
  const before = linux.umask(0o022);
  scope.defer("umask", () => linux.umask(before));
  const fd = linux.open(path, linux.O_RDWR | linux.O_CREAT | linux.O_EXCL, 0o666);
  try {
    assert.ok(isCloexec(fd));
    assert.equal(linux.write(fd, encoder.encode("hello")), 5);
    assert.equal(linux.lseek(fd, 1, linux.SEEK_SET), 1);
    assert.equal(readAll(fd), "ello");
    assert.equal(linux.read(fd, new Uint8Array(1)), 0);
    assert.equal(linux.read(fd, new Uint8Array(0)), 0);
    assert.equal(linux.fstat(fd).mode, linux.S_IFREG | 0o644);
  } finally {
    linux.close(fd);
  }
  assert.throws(() => linux.open(path, linux.O_WRONLY | linux.O_CREAT | linux.O_EXCL), {
    code: "EEXIST",
  });
});

Deno.test("a path is relative to a directory's descriptor", async () => {
  await using scope = new Scope();
  const path = await scope.temporaryDirectory("fd");
  Deno.writeTextFileSync(`${path}/file`, "inside");
  const directory = linux.open(path, linux.O_PATH | linux.O_DIRECTORY);
  scope.defer("close", () => linux.close(directory));
  const fd = linux.openat(directory, "file", linux.O_RDONLY);
  scope.defer("close", () => linux.close(fd));
  assert.ok(isCloexec(fd));
  assert.equal(readAll(fd), "inside");
  assert.throws(() => linux.openat(directory, "other", linux.O_RDONLY), { code: "ENOENT" });
});

Deno.test("openat2 stays below its directory", async () => {
  await using scope = new Scope();
  const path = await scope.temporaryDirectory("fd");
  Deno.mkdirSync(`${path}/root/etc`, { recursive: true });
  Deno.writeTextFileSync(`${path}/root/etc/passwd`, "the image's");
  Deno.symlinkSync("/etc/passwd", `${path}/root/absolute`);
  Deno.symlinkSync("../../../../../../../etc/passwd", `${path}/root/relative`);
  Deno.symlinkSync("/proc/self/fd/0", `${path}/root/magic`);
  const root = linux.open(`${path}/root`, linux.O_PATH | linux.O_DIRECTORY);
  scope.defer("close", () => linux.close(root));
  const open = (name: string, resolve: number) =>
    linux.openat2(root, name, { flags: linux.O_RDONLY, resolve });

  for (const name of ["absolute", "relative", "/etc/passwd", "../etc/passwd"]) {
    const fd = open(name, linux.RESOLVE_IN_ROOT | linux.RESOLVE_NO_MAGICLINKS);
    assert.ok(isCloexec(fd));
    assert.equal(readAll(fd), "the image's", name);
    linux.close(fd);
  }
  const refused: [string, number, string][] = [
    ["absolute", RESOLVE_BENEATH, "EXDEV"],
    ["../root/etc/passwd", RESOLVE_BENEATH, "EXDEV"],
    ["absolute", linux.RESOLVE_NO_SYMLINKS, "ELOOP"],
    ["magic", linux.RESOLVE_NO_MAGICLINKS, "ELOOP"],
    ["magic", linux.RESOLVE_IN_ROOT, "ENOENT"],
  ];
  for (const [name, resolve, code] of refused) {
    assert.throws(() => open(name, resolve), { operation: "openat2", code }, name);
  }
  const made = linux.openat2(root, "new", {
    flags: linux.O_WRONLY | linux.O_CREAT | linux.O_EXCL,
    mode: 0o600,
    resolve: linux.RESOLVE_IN_ROOT,
  });
  linux.close(made);
  assert.equal(linux.statPath(`${path}/root/new`).mode, linux.S_IFREG | 0o600);
});

Deno.test("a closed descriptor is closed", () => {
  const fd = linux.open("/dev/null", linux.O_RDONLY);
  linux.close(fd);
  assert.throws(() => linux.close(fd), { operation: "close", code: "EBADF" });
  assert.throws(() => linux.read(fd, new Uint8Array(1)), { code: "EBADF" });
  assert.throws(() => linux.write(fd, new Uint8Array(1)), { code: "EBADF" });
});

Deno.test("writeAll writes more than a socket holds at once", async () => {
  await using scope = new Scope();
  const [left, right] = pair(scope);
  const size = 3_000_000;
  const data = new Uint8Array(size).map((_, index) => index % 251);
  const reader = new Worker(new URL("_reader_worker.ts", import.meta.url), { type: "module" });
  scope.defer("end the worker", () => reader.terminate());
  const received = new Promise<Uint8Array>((resolve) => {
    reader.onmessage = ({ data }) => resolve(data);
  });
  reader.postMessage({ fd: right, size });
  linux.writeAll(left, data);
  assert.deepEqual(await received, data);
});

Deno.test("readAsync does not block the event loop and returns what arrives", async () => {
  await using scope = new Scope();
  const [left, right] = pair(scope);
  const buffer = new Uint8Array(16);
  let hasRead = false;
  const reading = linux.readAsync(left, buffer).finally(() => hasRead = true);
  // A blocked process does not come as far: however slow the machine is, timers run meanwhile.
  for (let tick = 0; tick < 4; tick++) await new Promise((resolve) => setTimeout(resolve, 2));
  assert.equal(hasRead, false);
  linux.writeAll(right, encoder.encode("late"));
  assert.equal(decoder.decode(buffer.subarray(0, await reading)), "late");
  await assert.rejects(linux.readAsync(987_654, buffer), { operation: "read", code: "EBADF" });
});

Deno.test("dup2 copies and replaces", async () => {
  await using scope = new Scope();
  const fd = memfd(scope, "copied");
  const target = memfd(scope, "replaced");
  linux.dup2(fd, target);
  assert.equal(readAll(target), "copied");
  assert.ok(!isCloexec(target));
  assert.throws(() => linux.dup2(987_654, target), { operation: "dup2", code: "EBADF" });
});

Deno.test("closeRange closes, or marks for closing at exec", () => {
  const base = 700;
  for (let fd = base; fd < base + 4; fd++) linux.dup2(0, fd);
  linux.closeRange(base, base + 1, linux.CLOSE_RANGE_CLOEXEC);
  assert.deepEqual([0, 1, 2].map((n) => isCloexec(base + n)), [true, true, false]);
  linux.closeRange(base, base + 3, 0);
  assert.throws(() => linux.close(base), { code: "EBADF" });
  assert.throws(() => linux.close(base + 3), { code: "EBADF" });
  assert.throws(() => linux.closeRange(5, 4, 0), { operation: "close_range", code: "EINVAL" });
});

Deno.test("descriptor flags are set and cleared", async () => {
  await using scope = new Scope();
  const [left] = pair(scope);
  for (const on of [false, true]) {
    linux.setCloexec(left, on);
    assert.equal(isCloexec(left), on);
  }
  linux.setNonblock(left, true);
  assert.throws(() => linux.read(left, new Uint8Array(1)), { code: "EAGAIN" });
  assert.throws(() => linux.setCloexec(987_654, true), { operation: "fcntl", code: "EBADF" });
  assert.throws(() => linux.setNonblock(987_654, true), { operation: "fcntl", code: "EBADF" });
});

Deno.test("a lock excludes, and flockAsync waits for it", async () => {
  await using scope = new Scope();
  const path = `${await scope.temporaryDirectory("fd")}/lock`;
  Deno.writeTextFileSync(path, "");
  const [one, two] = [linux.open(path, linux.O_RDWR), linux.open(path, linux.O_RDWR)];
  for (const fd of [one, two]) scope.defer("close", () => linux.close(fd));
  linux.flock(one, linux.LOCK_EX);
  assert.throws(() => linux.flock(two, linux.LOCK_EX | linux.LOCK_NB), { code: "EAGAIN" });
  await assert.rejects(linux.flockAsync(two, linux.LOCK_EX | linux.LOCK_NB), { code: "EAGAIN" });
  let got = false;
  const waiting = linux.flockAsync(two, linux.LOCK_EX).then(() => got = true);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(got, false);
  linux.flock(one, LOCK_UN);
  await waiting;
  assert.throws(() => linux.flock(one, LOCK_SH | linux.LOCK_NB), { code: "EAGAIN" });
  await assert.rejects(linux.flockAsync(987_654, linux.LOCK_EX), { code: "EBADF" });
});

Deno.test("a byte stays locked until all have closed the file", async () => {
  await using scope = new Scope();
  const path = `${await scope.temporaryDirectory("fd")}/lock`;
  Deno.writeTextFileSync(path, "");
  const [one, two] = [linux.open(path, linux.O_RDWR), linux.open(path, linux.O_RDWR)];
  scope.defer("close", () => linux.close(two));
  linux.lockByte(one, 101);
  linux.lockByte(two, 102);
  assert.throws(() => linux.lockByte(two, 101), { operation: "fcntl", code: "EAGAIN" });
  const copy = linux.dupAbove(one, 10);
  linux.close(one);
  assert.throws(() => linux.lockByte(two, 101), { code: "EAGAIN" });
  linux.close(copy);
  linux.lockByte(two, 101);
});

Deno.test("copyFile copies all, or refuses", async () => {
  await using scope = new Scope();
  const cases = [
    { content: "", maximum: 0, copied: 0 },
    { content: "12345", maximum: 5, copied: 5 },
    { content: "12345", maximum: 1_000_000_000_000, copied: 5 },
    { content: "x".repeat(2000), maximum: 2000, copied: 2000 },
  ];
  for (const { content, maximum, copied } of cases) {
    const [from, to] = [memfd(scope, content), memfd(scope, "")];
    assert.equal(linux.copyFile(from, to, maximum), copied);
    linux.lseek(to, 0, linux.SEEK_SET);
    assert.equal(readAll(to), content);
  }
  const [from, to] = [memfd(scope, "123456"), memfd(scope, "")];
  assert.throws(() => linux.copyFile(from, to, 5), { operation: "sendfile", code: "EFBIG" });
  assert.throws(() => linux.copyFile(987_654, to, 5), { operation: "sendfile", code: "EBADF" });
});

Deno.test("a file in memory is closed at exec, its name has a limit", async () => {
  await using scope = new Scope();
  const fd = memfd(scope, "x");
  assert.ok(isCloexec(fd));
  assert.throws(() => linux.memfdCreate("x".repeat(300), 0), {
    operation: "memfd_create",
    code: "EINVAL",
  });
});

Deno.test("ioctl takes integers and memory", async () => {
  await using scope = new Scope();
  const [left, right] = pair(scope);
  linux.writeAll(right, encoder.encode("seven..") as Uint8Array);
  const FIONREAD = 0x541b; // asm-generic/ioctls.h
  const FIOCLEX = 0x5451;
  const FIONCLEX = 0x5450;
  const cell = new Uint8Array(4);
  assert.equal(linux.ioctl(left, FIONREAD, cell), 0);
  assert.equal(cell[0], 7);
  linux.ioctl(left, FIONCLEX, 0);
  assert.ok(!isCloexec(left));
  linux.ioctl(left, FIOCLEX, 0n);
  assert.ok(isCloexec(left));
  assert.throws(() => linux.ioctl(left, 0xdead, 0), { operation: "ioctl", code: "ENOTTY" });
  assert.throws(() => linux.ioctl(left, FIONREAD, new Uint8Array(0)), { code: "EINVAL" });
});
