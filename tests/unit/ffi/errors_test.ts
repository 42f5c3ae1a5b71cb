import assert from "node:assert/strict";
import * as linux from "../../../ffi/linux.ts";
import { Scope } from "../../support/scope.ts";

Deno.test("an error says operation, subject, reason and code", () => {
  assert.throws(() => linux.open("/does/not/exist", linux.O_RDONLY), (error) => {
    assert.ok(error instanceof linux.LinuxError);
    assert.equal(error.name, "LinuxError");
    assert.equal(error.operation, "open");
    assert.equal(error.subject, "/does/not/exist");
    assert.equal(error.errno, linux.errnos.ENOENT);
    assert.equal(error.code, "ENOENT");
    assert.equal(error.message, "open /does/not/exist: No such file or directory (ENOENT)");
    return true;
  });
});

Deno.test("an errno is known by C's name", () => {
  const cases: [number, string][] = [
    [1, "EPERM"],
    [11, "EAGAIN"],
    [95, "EOPNOTSUPP"],
    [133, "EHWPOISON"],
    [4095, "E4095"],
  ];
  for (const [errno, name] of cases) assert.equal(linux.errnoName(errno), name);
});

Deno.test("a failure has its own errno, whatever failed before", () => {
  const failures: [() => void, string][] = [
    [() => linux.close(-1), "EBADF"],
    [() => linux.chdir("/does/not/exist"), "ENOENT"],
    [() => linux.prctl(-1), "EINVAL"],
    [() => linux.chdir("/proc/self/status"), "ENOTDIR"],
  ];
  for (let round = 0; round < 200; round++) {
    for (const [call, code] of failures) assert.throws(call, { code });
  }
});

Deno.test("EAGAIN is distinguished from failures", async () => {
  await using scope = new Scope();
  const [left, right] = linux.socketpair(linux.SOCK_STREAM);
  for (const fd of [left, right]) scope.defer(`close ${fd}`, () => linux.close(fd));
  linux.setNonblock(left, true);
  const buffer = new Uint8Array(4);
  assert.equal(linux.unlessItWaits(() => linux.read(left, buffer)), undefined);
  linux.write(right, new Uint8Array([1, 2]));
  assert.equal(linux.unlessItWaits(() => linux.read(left, buffer)), 2);
  assert.throws(() => linux.unlessItWaits(() => linux.read(987_654, buffer)), { code: "EBADF" });
});
