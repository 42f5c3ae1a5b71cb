/** A careless caller: nothing it has may reach the monitor. */
import assert from "node:assert/strict";
import { extraFds } from "../support/double.ts";
import { type ProcessStatus, readStatus } from "../support/process.ts";
import {
  assertNothingLeft,
  assertSucceeded,
  Container,
  type CreateCall,
  doubleContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const needs = ["root", "setpriv"];

/** Bits of signals in masks. */
const SIGNALS = ["HUP", "PIPE", "TERM", "USR1", "CHLD"];

/**
 * Groups, an open /etc/shadow, ignored and blocked signals, resource limits, umask, a deleted
 * working directory, and an environment that would change Deno, Node and every program that is
 * linked dynamically.
 */
async function carelessly(scope: Scope): Promise<CreateCall> {
  const gone = await scope.temporaryDirectory("gone");
  const script = [
    "exec 7</etc/shadow 8>/dev/null",
    "umask 0",
    "ulimit -S -n 300",
    "ulimit -S -s 4096",
    `mkdir ${gone}/cwd`,
    `cd ${gone}/cwd`,
    `rmdir ${gone}/cwd`,
    'exec "$@"',
  ].join("; ");
  return {
    wrapper: [
      ...["setpriv", "--groups", "0,4,27,108", "--inh-caps", "+chown,+net_admin"],
      ...["env", "--ignore-signal=PIPE,HUP,CHLD", "--block-signal=TERM,USR1"],
      ...["sh", "-c", script, "sh"],
    ],
    env: {
      HOME: gone,
      SECRET: "caller's secret",
      // Nothing is there: the dynamic loader looks, and goes on.
      LD_LIBRARY_PATH: `${gone}/libraries`,
      DENO_DIR: `${gone}/deno`,
      DENO_NO_UPDATE_CHECK: "0",
      DENO_V8_FLAGS: "--no-such-flag",
      DENO_AUTH_TOKENS: "secret@example.org",
      NODE_OPTIONS: "--require=/no/such/file",
      URUNC_FAULT: "command:0",
      URUNC_ARGV0: "containerd-shim-urunc-v2",
    },
  };
}

function assertPlain(status: ProcessStatus): void {
  assert.deepEqual(status.groups, []);
  assert.deepEqual(new Set([...status.uids, ...status.gids]), new Set([65534]));
  assert.deepEqual(new Set(Object.values(status.capabilities)), new Set([0n]));
  assert.equal(status.umask, 0o022);
}

/** What /proc tells of a process's descriptors, working directory and environment. */
function look(pid: number) {
  const fds = [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => ({
    fd: Number(name),
    target: Deno.readLinkSync(`/proc/${pid}/fd/${name}`),
  }));
  return {
    fds,
    cwd: Deno.readLinkSync(`/proc/${pid}/cwd`),
    environment: Deno.readTextFileSync(`/proc/${pid}/environ`),
    limits: Deno.readTextFileSync(`/proc/${pid}/limits`),
  };
}

for (const accelerator of ["kvm", "tcg"] as const) {
  testIf(`caller: nothing of it is in QEMU on ${accelerator}`, {
    needs: [...needs, "qemu-system-x86_64", ...(accelerator === "kvm" ? ["kvm"] : [])],
  }, async () => {
    await using scope = new Scope();
    const container = await Container.prepare(scope, { args: ["idle"], accelerator });
    const pid = await container.mustCreate(await carelessly(scope));
    assertPlain(readStatus(pid));
    assert.match(look(pid).limits, /^Max open files +1024 +4096 /m);
    assertSucceeded(await container.start(), "start");
    await container.waitForOutput("idle");

    assertPlain(readStatus(pid));
    const monitor = await container.monitorPid();
    const status = readStatus(monitor);
    assertPlain(status);
    // QEMU itself ignores SIGPIPE, and blocks some in some threads; HUP is only the caller's.
    assert.equal(status.signals.ignored & 1n, 0n, "SIGHUP is ignored");
    assert.equal((status.signals.blocked >> 14n) & 1n, 0n, "SIGTERM is blocked");
    const { fds, cwd, environment, limits } = look(monitor);
    assert.equal(cwd, "/");
    assert.equal(environment, "");
    // QEMU raises the soft limit itself; the hard one is what it was given.
    assert.match(limits, /^Max open files +\d+ +4096 /m);
    // What QEMU opened: nothing that the caller or the runtime had.
    const foreign =
      /shadow|\/tmp\/(?!urunc-test-\w+-output)|memfd:.*(urunc|bundle)|deno|\.sock|cgroup/;
    assert.deepEqual(fds.filter(({ target }) => foreign.test(target)), []);
    const standard = (of: typeof fds) => of.filter(({ fd }) => fd <= 2).map(({ target }) => target);
    for (const target of standard(fds)) assert.match(target, /^pipe:/);
    // The caller's are the waiter's.
    assert.deepEqual(standard(look(pid).fds), [
      "/dev/null",
      container.stdoutFile,
      container.stderrFile,
    ]);
  });
}

testIf("caller: nothing of it reaches the monitor, by the monitor's own report", {
  needs: [...needs, "gcc"],
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "report; idle");
  const pid = await container.mustCreate(await carelessly(scope));
  assertSucceeded(await container.start(), "start");
  const report = await container.report();
  assert.deepEqual(report.groups, []);
  assert.deepEqual(report.env, []);
  assert.deepEqual(extraFds(report), []);
  assert.equal(report.cwd, "/");
  assert.equal(report.umask, 0o022);
  for (const [name, text] of Object.entries(report.capabilities)) {
    assert.equal(BigInt(`0x${text}`), 0n, name);
  }
  assert.equal(BigInt(`0x${report.signalsIgnored}`), 0n, `of ${SIGNALS}`);
  assert.equal(BigInt(`0x${report.signalsBlocked}`), 0n, `of ${SIGNALS}`);
  assert.equal(BigInt(`0x${report.rlimits[7]!.soft}`), 1024n);
  assertSucceeded(await container.kill("TERM"), "kill");
  await container.waitForStatus("stopped");
  assertSucceeded(await container.delete(), "delete");
  assertNothingLeft(container, pid);
});

testIf("caller: its leaked file is not opened by init's waiting either", {
  needs: [...needs, "gcc"],
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  const pid = await container.mustCreate(await carelessly(scope));
  const { fds, cwd, environment } = look(pid);
  assert.deepEqual(fds.filter(({ target }) => /shadow/.test(target)), []);
  assert.equal(cwd, "/");
  assert.doesNotMatch(environment, /SECRET|LD_|NODE_|AUTH/);
});

testIf(
  "caller: closed standard input, output and error",
  { needs: [...needs, "gcc"] },
  async () => {
    await using scope = new Scope();
    const container = await doubleContainer(scope, "report; idle");
    const wrapper = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"];
    const pid = await container.mustCreate({ wrapper });
    assertSucceeded(await container.start(), "start");
    await container.waitForStatus("running");
    // Open to nothing, rather than free for the first file that the monitor opens.
    for (const fd of [0, 1, 2]) {
      assert.equal(Deno.readLinkSync(`/proc/${pid}/fd/${fd}`), "/dev/null");
    }
  },
);
