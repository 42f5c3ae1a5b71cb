import assert from "node:assert/strict";
import * as linux from "../../../ffi/linux.ts";
import { SIGINT } from "../../support/kernel.ts";
import { RUN_PREFIX } from "../../support/mark.ts";

const sh = (script: string, argv: string[] = []) =>
  linux.spawn({ path: "/bin/sh", argv: ["sh", "-c", script, ...argv], env: [], fds: [] });

/** No shell: it would wait for what it started before it ends itself. */
const sleeper = () => linux.spawn({ path: "/bin/sleep", argv: ["sleep", "60"], env: [], fds: [] });

Deno.test("waitpid reports how a child ended, once", () => {
  const cases: [string, object][] = [
    ["exit 0", { exitCode: 0 }],
    ["exit 255", { exitCode: 255 }],
    ["kill -9 $$", { signal: 9 }],
    ["kill -15 $$", { signal: 15 }],
  ];
  for (const [script, status] of cases) {
    const pid = sh(script);
    assert.deepEqual(linux.waitpid(pid, 0), { pid, ...status }, script);
    assert.throws(() => linux.waitpid(pid, 0), { operation: "waitpid", code: "ECHILD" });
  }
});

Deno.test("waitpid with WNOHANG does not wait", () => {
  const pid = sleeper();
  assert.equal(linux.waitpid(pid, linux.WNOHANG), undefined);
  linux.kill(pid, linux.SIGKILL);
  assert.deepEqual(linux.waitpid(pid, 0), { pid, signal: 9 });
});

Deno.test("waitpidAsync waits beside everything else, for several at once", async () => {
  const directory = Deno.makeTempDirSync({ prefix: `${RUN_PREFIX}wait-` });
  try {
    // The first ends once timers have run; for ten seconds it waits for that.
    const go = `${directory}/go`;
    const script = 'for _ in $(seq 500); do [ -e "$0" ] && exit 3; sleep 0.02; done; exit 9';
    const pids = [sh(script, [go]), sh("sleep 0.1; exit 4")];
    let ticks = 0;
    const timer = setInterval(() => ++ticks === 6 && Deno.writeTextFileSync(go, ""), 5);
    const statuses = await Promise.all(pids.map(linux.waitpidAsync));
    clearInterval(timer);
    assert.deepEqual(statuses, [{ exitCode: 3 }, { exitCode: 4 }]);
    assert.ok(ticks > 5, "timers ran meanwhile");
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("waitpidAsync finds a child that has ended before", async () => {
  const pid = sh("exit 5");
  const pidfd = linux.pidfdOpen(pid);
  assert.deepEqual(linux.poll([{ fd: pidfd, events: linux.POLLIN }], 5000), [linux.POLLIN]);
  linux.close(pidfd);
  assert.deepEqual(await linux.waitpidAsync(pid), { exitCode: 5 });
});

Deno.test("waitpidAsync rejects what is not a child, and leaves no descriptor", async () => {
  const count = () => [...Deno.readDirSync("/proc/self/fd")].length;
  const before = count();
  await assert.rejects(linux.waitpidAsync(1), { operation: "waitpid", code: "ECHILD" });
  assert.equal(count(), before);
});

Deno.test("a pidfd signals its process and is ready when it has ended", () => {
  const pid = sleeper();
  const pidfd = linux.pidfdOpen(pid);
  try {
    linux.pidfdSendSignal(pidfd, 0);
    assert.deepEqual(linux.poll([{ fd: pidfd, events: linux.POLLIN }], 0), [0]);
    linux.pidfdSendSignal(pidfd, linux.SIGTERM);
    assert.deepEqual(linux.poll([{ fd: pidfd, events: linux.POLLIN }], 5000), [linux.POLLIN]);
    assert.deepEqual(linux.waitpid(pid, 0), { pid, signal: 15 });
    assert.throws(() => linux.pidfdSendSignal(pidfd, 0), {
      operation: "pidfd_send_signal",
      code: "ESRCH",
    });
    assert.throws(() => linux.pidfdOpen(pid), { operation: "pidfd_open", code: "ESRCH" });
  } finally {
    linux.close(pidfd);
  }
});

Deno.test("kill reaches one process and never a group", () => {
  const pid = sleeper();
  linux.kill(pid, 0);
  linux.kill(pid, SIGINT);
  assert.deepEqual(linux.waitpid(pid, 0), { pid, signal: 2 });
  assert.throws(() => linux.kill(pid, 0), { operation: "kill", code: "ESRCH" });
  for (const many of [0, -1, -pid, NaN]) {
    assert.throws(() => linux.kill(many, 0), { operation: "kill", code: "EINVAL" });
  }
});

Deno.test("execve that fails returns to its caller", () => {
  assert.throws(() => linux.execve("/does/not/exist", ["x"], []), {
    operation: "execve",
    code: "ENOENT",
  });
  assert.throws(() => linux.execve("/etc/passwd", ["x"], []), { code: "EACCES" });
});
