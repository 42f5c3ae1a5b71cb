import assert from "node:assert/strict";
import { poll, pollAsync, type PollRequest } from "../../../ffi/linux.ts";
import * as linux from "../../../ffi/linux.ts";
import { Scope } from "../../support/scope.ts";
import { POLLNVAL } from "../../support/kernel.ts";
import { Stopwatch } from "../../support/busy.ts";

const implementations = {
  poll: (fds: PollRequest[], timeout: number) => Promise.resolve(poll(fds, timeout)),
  pollAsync,
};

for (const [name, wait] of Object.entries(implementations)) {
  Deno.test(`${name} reports which descriptor is ready for what`, async () => {
    await using scope = new Scope();
    const [left, right] = linux.socketpair(linux.SOCK_STREAM);
    for (const fd of [left, right]) scope.defer("close", () => linux.close(fd));
    const both = [left, right].map((fd) => ({ fd, events: linux.POLLIN }));
    assert.deepEqual(await wait(both, 0), [0, 0]);
    linux.writeAll(left, new Uint8Array(1));
    assert.deepEqual(await wait(both, -1), [0, linux.POLLIN]);
    assert.deepEqual(
      await wait([{ fd: left, events: linux.POLLOUT }, { fd: 987_654, events: 0 }], 1000),
      [linux.POLLOUT, POLLNVAL],
    );
  });

  Deno.test(`${name} waits for its timeout`, async () => {
    const watch = new Stopwatch();
    assert.deepEqual(await wait([], 60), []);
    watch.assertWithin(2000, "the wait");
    assert.ok(watch.milliseconds() >= 59);
  });

  Deno.test(`${name} fails with more descriptors than the process may have`, async () => {
    const before = linux.getrlimit(linux.RLIMIT_NOFILE);
    linux.setrlimit(linux.RLIMIT_NOFILE, { ...before, soft: 64n });
    try {
      const many = Array.from({ length: 65 }, () => ({ fd: 0, events: 0 }));
      await assert.rejects(async () => await wait(many, 0), { operation: "poll", code: "EINVAL" });
    } finally {
      linux.setrlimit(linux.RLIMIT_NOFILE, before);
    }
  });
}
