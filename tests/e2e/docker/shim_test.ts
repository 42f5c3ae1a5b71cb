/** Docker with the executable as containerd's shim: no runtime process for each operation. */
import assert from "node:assert/strict";
import { missingMemoryController } from "../../support/cgroups.ts";
import {
  type Docker,
  DOCKER_NEEDS,
  startDocker,
  type StartedDocker,
} from "../../support/docker.ts";
import { doubleConfiguration, parseReport } from "../../support/double.ts";
import { guestImage } from "../../support/guest_images.ts";
import { assertNoLeaks, takeSnapshot } from "../../support/leaks.ts";
import { isAlive, monitorOf, waitFor } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { uruncBinary } from "../../support/urunc.ts";
import { AS_NOBODY, assertIdentity, logsWith, NEEDS } from "./_common.ts";
import { busyboxFiles } from "../../support/docker.ts";

/** Docker with the shim by an absolute path, and the test double in QEMU's place. */
async function startWithShim(scope: Scope): Promise<StartedDocker> {
  const directory = await scope.temporaryDirectory("shim");
  const shim = `${directory}/containerd-shim-double-v2`;
  await Deno.symlink(await uruncBinary(), shim);
  const options = {
    TypeUrl: "runtimeoptions.v1.Options",
    ConfigPath: await doubleConfiguration(scope),
  };
  return await startDocker(scope, { double: { runtimeType: shim, options } });
}

testIf("docker --runtime io.containerd.urunc.v2: a guest as 65534 prints its line and exits", {
  needs: NEEDS,
  timeoutSeconds: 120,
}, async () => {
  const before = takeSnapshot();
  {
    await using scope = new Scope();
    const it = await startDocker(scope);
    const { docker, inspect } = it;
    const runtime = "--runtime=io.containerd.urunc.v2";
    await it.makeImage("guest", guestImage("tcg"));
    await it.makeImage("ordinary", busyboxFiles());
    const hello = await docker(
      ["run", "--rm", runtime, ...AS_NOBODY, "guest", "hello", "Hello", "3"],
      { timeoutSeconds: 60 },
    );
    assert.equal(hello.stdout.replaceAll("\r", ""), "Hello\n", hello.stderr);
    // The shim knows what the monitor's exit code means.
    assert.equal(hello.code, 3, hello.stderr);

    const id = (await docker(["run", "--detach", runtime, ...AS_NOBODY, "guest", "idle"], {
      check: true,
    })).stdout.trim();
    await logsWith(it, id, "idle");
    const { State } = await inspect(id);
    assert.match(await Deno.readLink(`/proc/${monitorOf(State.Pid)}/exe`), /qemu-system-x86_64$/);
    await assertIdentity(it, id, State.Pid);
    await docker(["stop", "--time=10", id], { check: true });
    assert.ok(!isAlive(State.Pid));
    await docker(["rm", id], { check: true });

    const ordinary = await docker(["run", "--rm", runtime, "ordinary", "/bin/echo", "hello"]);
    assert.equal(ordinary.stdout, "hello\n", ordinary.stderr);
  }
  assertNoLeaks(before, takeSnapshot(), /docker|containerd|host file/);
});

testIf("docker with the shim by its path: input, output, stats, pause, restart, kill", {
  needs: [...DOCKER_NEEDS, "gcc"],
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const it = await startWithShim(scope);
  const { docker, inspect } = it;
  await it.makeImage("guest", guestImage("kvm"));
  const run = ["run", "--runtime=double"];
  const report = parseReport(
    (await docker([...run, "--rm", ...AS_NOBODY, "--hostname=box", "guest", "report"], {
      check: true,
    })).stdout,
  );
  assert.deepEqual(report.uids, [65534, 65534, 65534]);
  assert.ok(report.groups.includes(108));
  assert.equal(report.hostname, "box");
  assert.deepEqual(report.env, []);

  const echo = await docker([...run, "--rm", "--interactive", "guest", "read; exit 9"], {
    stdin: "one\ntwo\n",
  });
  assert.deepEqual([echo.code, echo.stdout], [4, "one\ntwo\n"], echo.stderr);
  const megabyte = 1 << 20;
  const much = await docker([...run, "--name=much", "guest", `output ${megabyte}`]);
  assert.equal(much.stdout.length, megabyte);
  assert.equal((await docker(["logs", "much"])).stdout, much.stdout);
  await docker(["restart", "--time=1", "much"], { check: true });
  await docker(["wait", "much"], { check: true });
  assert.equal((await docker(["logs", "much"])).stdout.length, 2 * megabyte);

  const id = (await docker([...run, "--detach", "guest", "ignore 15; alloc 30; print on; idle"], {
    check: true,
  })).stdout.trim();
  await logsWith(it, id, "on");
  const stats = JSON.parse(
    (await docker(["stats", "--no-stream", "--format", "{{json .}}", id], { check: true })).stdout,
  );
  assert.match(stats.MemUsage, /^[3-9]\d\.\d+MiB/);
  await docker(["pause", id], { check: true });
  assert.equal((await inspect(id)).State.Status, "paused");
  await docker(["unpause", id], { check: true });
  await assertUpdated(it, id);
  const little = await docker(["update", "--memory=16m", "--memory-swap=16m", id]);
  assert.match(little.stderr, /less than the guest, whose memory is fixed/);
  await it.makeImage("ordinary", busyboxFiles());
  const beside = ["--detach", "--name=beside", "ordinary", "/bin/sleep", "1000"];
  await docker([...run, ...beside], { check: true });
  await assertUpdated(it, "beside");
  // What docker makes of the error differs from version to version: as with runc's shim.
  const asRunc = [
    "run",
    "--runtime=runc",
    "--detach",
    "--name=runc",
    "ordinary",
    "/bin/sleep",
    "1000",
  ];
  await docker(asRunc, { check: true });
  const missing = (name: string) => docker(["exec", name, "/no/such"]);
  assert.equal((await missing("beside")).code, (await missing("runc")).code);
  await docker(["rm", "--force", "runc"], { check: true });
  await docker(["rm", "--force", "beside"], { check: true });
  const exec = await docker(["exec", id, "/bin/true"]);
  assert.match(exec.stderr + exec.stdout, /its guest has no agent, and so no processes/);
  await docker(["stop", "--time=1", id], { check: true });
  assert.equal((await inspect(id)).State.ExitCode, 137);
  await docker(["rm", id, "much"], { check: true });
});

/** Changes the limits of a running container, and sees that docker then reads them. */
async function assertUpdated({ docker }: Docker, id: string): Promise<void> {
  const limits = ["--memory=320m", "--memory-swap=400m", "--pids-limit=60"];
  await docker(["update", ...limits, id], { check: true });
  const { stdout } = await docker(["stats", "--no-stream", "--format", "{{.MemUsage}}", id], {
    check: true,
  });
  assert.match(stdout, /\/ 320MiB$/m);
}

testIf("docker with the shim: an OOM kill is reported", {
  needs: [...DOCKER_NEEDS, "gcc"],
  skip: missingMemoryController(),
}, async () => {
  await using scope = new Scope();
  const { docker, inspect, makeImage } = await startWithShim(scope);
  await makeImage("guest", guestImage("kvm"));
  const run = ["run", "--runtime=double", "--memory=64m", "--memory-swap=64m", "--name=greedy"];
  const { code } = await docker([...run, "guest", "alloc 256; idle"]);
  const { State } = await inspect("greedy");
  assert.deepEqual([code, State.ExitCode, State.OOMKilled], [137, 137, true]);
});

testIf("docker with the shim: containerd is killed and started again amid a guest's output", {
  needs: [...DOCKER_NEEDS, "gcc"],
}, async () => {
  await using scope = new Scope();
  const it = await startWithShim(scope);
  const { docker, inspect } = it;
  await it.makeImage("guest", guestImage("kvm"));
  // Whole lines: docker waits for a line's end.
  const [piece, pieces] = [64 * 300, 150];
  const script = `output ${piece}; sleep 60; `.repeat(pieces);
  const run = ["run", "--detach", "--runtime=double", "--name=writes", "guest"];
  await docker([...run, `${script}idle`], { check: true });
  const { State: { Pid } } = await inspect("writes");
  const length = async () => (await docker(["logs", "writes"], { check: true })).stdout.length;
  assert.ok(await length() < piece * pieces);
  await it.killContainerd();
  const before = await length();
  await waitFor(async () => await length() > before, { timeoutSeconds: 10, what: "more output" });
  await it.startContainerd();
  await waitFor(async () => await length() >= piece * pieces, {
    timeoutSeconds: 20,
    what: "all output",
    intervalMilliseconds: 200,
  });
  assert.equal(await length(), piece * pieces);
  assert.ok(isAlive(Pid));
  await docker(["kill", "writes"], { check: true });
  await docker(["wait", "writes"], { check: true });
  assert.equal((await inspect("writes")).State.ExitCode, 137);
  await docker(["rm", "writes"], { check: true });
});
