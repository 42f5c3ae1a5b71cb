/** containerd with the shim: guests in the shape of the monitor's test double. */
import assert from "node:assert/strict";
import { extraFds, parseReport } from "../../support/double.ts";
import { assertNoLeaks, takeSnapshot } from "../../support/leaks.ts";
import {
  childrenOf,
  listPids,
  readCommandLine,
  readStatus,
  run,
  waitFor,
} from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import {
  assertNothingLeft,
  collectEvents,
  DOUBLE_NEEDS,
  GUEST,
  ORDINARY,
  startWithDouble,
  waitForStatus,
} from "./_common.ts";

const LIFE = ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"];

testIf("ctr run: output, input, exit code, user, events; nothing is left", {
  needs: DOUBLE_NEEDS,
}, async () => {
  const before = takeSnapshot();
  {
    await using scope = new Scope();
    const it = await startWithDouble(scope);
    const events = await collectEvents(scope, it);

    // The exit device of QEMU makes 2n+1 of the guest's n, and the waiter n of that.
    const hello = await it.ctrRun(["--rm"], GUEST, "hello", ["print hello; exit 7"]);
    assert.deepEqual([hello.code, hello.stdout, hello.stderr], [3, "hello\n", ""]);
    await events.expect("hello", LIFE);

    // ctr tells the end of its input only when it comes after the task's creation.
    const command = it.ctrRunCommand(["--rm"], GUEST, "echo", ["read; exit 9"]);
    const stdin = waitForStatus(it, "echo", "RUNNING").then(() => "one\ntwo\n");
    const echo = await run(command, { stdin, scope });
    assert.deepEqual([echo.code, echo.stdout], [4, "one\ntwo\n"]);

    const report = parseReport(
      (await it.ctrRun(["--rm", "--user=65534:65534"], GUEST, "report", ["report"])).stdout,
    );
    assert.deepEqual(report.uids, [65534, 65534, 65534]);
    assert.deepEqual(report.gids, [65534, 65534, 65534]);
    // containerd adds the primary group.
    assert.deepEqual(report.groups, [65534]);
    assert.deepEqual(report.env, []);
    assert.deepEqual(extraFds(report), []);
    assert.equal(report.noNewPrivs, 1);
    assert.deepEqual(new Set(Object.values(report.capabilities)), new Set(["0".repeat(16)]));
    await assertNothingLeft(it);
  }
  assertNoLeaks(before, takeSnapshot(), /containerd|host file/);
});

testIf("ctr task: ls, ps, metrics, pause, resume, exec, kill, delete", {
  needs: DOUBLE_NEEDS,
}, async () => {
  await using scope = new Scope();
  const it = await startWithDouble(scope);
  const events = await collectEvents(scope, it);
  await it.ctrRun(["--detach"], GUEST, "idle", ["alloc 20; idle"], {});
  const pid = await waitForStatus(it, "idle", "RUNNING");
  assert.equal(readStatus(pid).noNewPrivs, 1);

  assert.match(
    (await it.ctr(["task", "ps", "idle"], { check: true })).stdout,
    RegExp(`^${pid} `, "m"),
  );
  // It runs before it has allocated all of it.
  const metrics = await waitFor(async () => {
    const args = ["task", "metrics", "--format", "json", "idle"];
    const { memory, cpu } = JSON.parse((await it.ctr(args, { check: true })).stdout);
    return Number(memory.usage.usage) > 20 << 20 ? { cpu } : undefined;
  }, { timeoutSeconds: 10, what: "20 MiB in the metrics" });
  assert.ok(Number(metrics.cpu.usage.total) > 0);

  await it.ctr(["task", "pause", "idle"], { check: true });
  await waitForStatus(it, "idle", "PAUSED");
  await it.ctr(["task", "resume", "idle"], { check: true });
  await waitForStatus(it, "idle", "RUNNING");

  const exec = await it.ctr(["task", "exec", "--exec-id", "x", "idle", "/bin/true"]);
  assert.notEqual(exec.code, 0);
  assert.match(exec.stderr, /its guest has no agent, and so no processes/);
  const image = ["--image-path", `${it.directory}/checkpoint`];
  const checkpoint = await it.ctr(["task", "checkpoint", ...image, "idle"]);
  assert.match(checkpoint.stderr, /a guest's state is in its monitor.*not implemented/s);
  const early = await it.ctr(["task", "delete", "idle"]);
  assert.notEqual(early.code, 0);

  const none = await it.ctr(["task", "kill", "--signal", "99", "idle"]);
  assert.match(none.stderr, /no such signal/);
  assert.match((await it.ctr(["task", "ls"])).stdout, /idle\s+\d+\s+RUNNING/);
  await it.ctr(["task", "kill", "--signal", "SIGKILL", "idle"], { check: true });
  await waitForStatus(it, "idle", "STOPPED");
  const again = await it.ctr(["task", "kill", "idle"]);
  assert.match(again.stderr, /process already finished/);
  await it.ctr(["task", "delete", "idle"]);
  await events.expect("idle", [
    "/tasks/create",
    "/tasks/start",
    "/tasks/paused",
    "/tasks/resumed",
    // containerd itself, around its wish for a checkpoint.
    "/tasks/paused",
    "/tasks/resumed",
    "/tasks/exit",
    "/tasks/delete",
  ]);
  await it.ctr(["containers", "delete", "idle"], { check: true });
  await assertNothingLeft(it);
});

testIf("a failed create is reported and leaves nothing", {
  needs: DOUBLE_NEEDS,
}, async () => {
  await using scope = new Scope();
  const it = await startWithDouble(scope);
  const refused = await it.ctrRun(
    ["--rm", "--annotation=com.urunc.unikernel.binary=/no/such/file"],
    GUEST,
    "refused",
    ["idle"],
  );
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /\/no\/such\/file/);
  const incomplete = await it.ctrRun(
    ["--rm", "--annotation=com.urunc.unikernel.hypervisr=qemu"],
    GUEST,
    "incomplete",
    ["idle"],
  );
  assert.match(incomplete.stderr, /hypervisr/);
  const misspelt = await it.ctrRun(
    ["--rm", "--annotation=com.urunc.unikernl.binary=/kernel"],
    GUEST,
    "misspelt",
    ["idle"],
  );
  assert.match(misspelt.stderr, /unikernl\.binary.*did you mean/);
  await assertNothingLeft(it);
});

testIf("a gigabyte of output arrives, to the byte", {
  needs: [...DOUBLE_NEEDS, "wc"],
  timeoutSeconds: 180,
}, async () => {
  await using scope = new Scope();
  const it = await startWithDouble(scope);
  const bytes = 1 << 30;
  const command = it.ctrRunCommand(["--rm"], GUEST, "much", [`output ${bytes}; exit 0`]);
  const result = await run(["sh", "-c", '"$@" | wc -c', "sh", ...command], {
    timeoutSeconds: 150,
    check: true,
  });
  assert.equal(Number(result.stdout), bytes);

  // The same into a file, which the shim writes: the monitor never has the file itself.
  const log = `${it.directory}/logs/guest.log`;
  const length = 50_000_000;
  await it.ctrRun(["--rm", "--log-uri", `file://${log}`], GUEST, "file", [
    `output ${length}; exit 0`,
  ]);
  assert.equal((await Deno.stat(log)).size, length);
  const other = await it.ctrRun(["--rm", "--log-uri", "syslog://here"], GUEST, "other", ["idle"]);
  assert.match(other.stderr, /syslog:\/\/ is not supported/);
  await assertNothingLeft(it);
});

testIf("ctr run --log-uri binary://: a program takes the output", {
  needs: DOUBLE_NEEDS,
}, async () => {
  await using scope = new Scope();
  const it = await startWithDouble(scope);
  const program = `${it.directory}/log-it`;
  // As containerd's logging.Run does: 3 and 4 are read to their end, 5 is closed when it is ready.
  const script = [
    "#!/bin/sh",
    'exec 5>&-; to="$2/$CONTAINER_NAMESPACE.$CONTAINER_ID"',
    'cat <&4 >"$to.err" & cat <&3 >"$to.out"; wait; echo "$1" >"$to.end"',
  ];
  await Deno.writeTextFile(program, `${script.join("\n")}\n`, { mode: 0o755 });
  const flags = ["--rm", "--log-uri", `binary://${program}?directory=${it.directory}`];
  const logged = (id: string, what: string) =>
    Deno.readTextFile(`${it.directory}/${it.namespace}.${id}.${what}`);

  const length = 5_000_000;
  const guest = await it.ctrRun(flags, GUEST, "guest", [`output ${length}; exit 7`]);
  assert.deepEqual([guest.code, guest.stdout], [3, ""], guest.stderr);
  assert.equal((await logged("guest", "out")).length, length);
  assert.equal(await logged("guest", "end"), "directory\n");

  const command = ["/bin/sh", "-c", "echo out; echo error >&2"];
  const ordinary = await it.ctrRun(flags, ORDINARY, "ordinary", command);
  assert.equal(ordinary.code, 0, ordinary.stderr);
  assert.equal(await logged("ordinary", "out"), "out\n");
  assert.equal(await logged("ordinary", "err"), "error\n");

  const missing = ["--rm", "--log-uri", "binary:///no/such/program"];
  const refused = await it.ctrRun(missing, GUEST, "refused", ["idle"]);
  assert.match(refused.stderr, /start the logging program.*\/no\/such\/program/);
  await assertNothingLeft(it);
});

testIf("many in a row and at once: none fails, nothing is left", {
  needs: DOUBLE_NEEDS,
  timeoutSeconds: 240,
}, async () => {
  await using scope = new Scope();
  const it = await startWithDouble(scope);
  await rounds(it, 25, 1);
  await rounds(it, 2, 10);
  await assertNothingLeft(it);
});

testIf("one shim for a namespace: many at once", {
  needs: DOUBLE_NEEDS,
  timeoutSeconds: 240,
}, async () => {
  await using scope = new Scope();
  const it = await startWithDouble(scope, {}, 'shim_group = "namespace"');
  await rounds(it, 1, 1);
  const shims = it.shims();
  assert.ok(shims.length > 0);
  await rounds(it, 2, 10);
  await rounds(it, 10, 1);
  assert.ok(it.shims().includes(shims[0]!), "the shim is the same");
});

testIf("one shim waits for many guests without a thread for each", {
  needs: DOUBLE_NEEDS,
}, async () => {
  await using scope = new Scope();
  const it = await startWithDouble(scope, {}, 'shim_group = "namespace"');
  const idle = async (id: string) => {
    await it.ctrRun(["--detach", "--null-io"], GUEST, id, ["idle"], { check: true });
    const { ppid } = readStatus(await waitForStatus(it, id, "RUNNING"));
    return { shim: ppid, threads: readStatus(ppid).threads };
  };
  const first = await idle("first");
  assert.ok(it.shims().includes(first.shim), "the shim is the guest's parent");
  // One after the other: many at once are started by many threads, which then go.
  const count = 15;
  let last = first;
  for (let index = 0; index < count; index++) last = await idle(`guest-${index}`);
  assert.equal(last.shim, first.shim);
  const threads = last.threads - first.threads;
  assert.ok(threads < count / 2, `${threads} more threads for ${count} more guests`);
});

/** Runs guests, `width` of them at the same time, so many times. */
async function rounds(
  it: Awaited<ReturnType<typeof startWithDouble>>,
  count: number,
  width: number,
) {
  for (let round = 0; round < count; round++) {
    const results = await Promise.all(
      Array.from(
        { length: width },
        (_, index) =>
          it.ctrRun(["--rm"], GUEST, `r${round}-${index}`, [`print ${round} ${index}; exit 3`]),
      ),
    );
    results.forEach((result, index) => {
      assert.deepEqual([result.code, result.stdout], [1, `${round} ${index}\n`], result.stderr);
    });
  }
}

testIf("a guest's OOM score is an ordinary container's: the one asked for, or else the shim's", {
  needs: DOUBLE_NEEDS,
}, async () => {
  await using scope = new Scope();
  const it = await startWithDouble(scope);
  const file = (pid: number) => `/proc/${pid}/oom_score_adj`;
  const score = (pid: number) => Number(Deno.readTextFileSync(file(pid)));
  // Its unit file says -999, which needs a privilege that tests may not have.
  const containerd = listPids().find((pid) => {
    const [program, ...args] = readCommandLine(pid);
    return program?.endsWith("containerd") && args.includes(`${it.directory}/config.toml`);
  });
  Deno.writeTextFileSync(file(containerd!), "300");
  const detached = ["--detach", "--null-io"];
  await it.ctrRun(detached, GUEST, "guest", ["idle"], { check: true });
  const runc = [...detached, "--runtime=io.containerd.runc.v2"];
  await it.ctrRun(runc, ORDINARY, "ordinary", ["/bin/sleep", "1000"], { check: true });
  const scores: number[] = [];
  for (const id of ["guest", "ordinary"]) {
    const pid = await waitForStatus(it, id, "RUNNING");
    assert.equal(score(readStatus(pid).ppid), 301, `the shim of the ${id}`);
    scores.push(score(pid));
    for (const child of childrenOf(pid)) assert.equal(score(child), score(pid));
  }
  assert.equal(scores[0], scores[1]);
});
