/** Docker with dist/urunc as a runtime: guests and the monitor's test double. */
import assert from "node:assert/strict";
import { busyboxFiles, DOCKER_NEEDS } from "../../support/docker.ts";
import { extraFds, parseReport } from "../../support/double.ts";
import { guestImage } from "../../support/guest_images.ts";
import { assertNoLeaks, takeSnapshot } from "../../support/leaks.ts";
import { isAlive, monitorOf } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { AS_NOBODY, assertIdentity, logsWith, NEEDS, startWithUrunc } from "./_common.ts";

for (const accelerator of ["kvm", "tcg"] as const) {
  testIf(`docker with urunc: a guest under ${accelerator} as 65534 prints its line and exits`, {
    needs: accelerator === "kvm" ? [...NEEDS, "kvm"] : NEEDS,
    timeoutSeconds: 180,
  }, async () => {
    const before = takeSnapshot();
    {
      await using scope = new Scope();
      const it = await startWithUrunc(scope);
      const { docker, inspect } = it;
      await it.makeImage("guest", guestImage(accelerator));

      const result = await docker([
        "run",
        "--runtime=urunc",
        "--name=hello",
        ...AS_NOBODY,
        "guest",
        "hello",
        "Hello",
        "from",
        "docker",
        "3",
      ], { timeoutSeconds: 60 });
      assert.equal(result.stdout.replaceAll("\r", ""), "Hello from docker\n", result.stderr);
      assert.equal(result.code, 3, result.stderr);
      assert.equal((await inspect("hello")).State.ExitCode, 3);
      await docker(["rm", "hello"], { check: true });

      const id = (await docker([
        "run",
        "--detach",
        "--runtime=urunc",
        ...AS_NOBODY,
        "guest",
        "idle",
      ], { check: true })).stdout.trim();
      await logsWith(it, id, "idle");
      const { State } = await inspect(id);
      assert.equal(State.Status, "running");
      const monitor = monitorOf(State.Pid);
      assert.match(await Deno.readLink(`/proc/${monitor}/exe`), /qemu-system-x86_64$/);
      const { user } = JSON.parse(await Deno.readTextFile(`${it.bundle(id)}/config.json`)).process;
      assert.equal(user.uid, 65534);
      assert.ok(user.additionalGids.includes(108));
      for (const pid of [State.Pid, monitor]) await assertIdentity(it, id, pid);

      await docker(["stop", "--time=10", id], { check: true });
      assert.equal((await inspect(id)).State.ExitCode, 143);
      assert.ok(!isAlive(State.Pid));
      assert.match((await docker(["logs", id])).stdout, /^idle/);
      await docker(["rm", id], { check: true });
      assert.equal((await docker(["ps", "--all", "--quiet"])).stdout, "");
    }
    assertNoLeaks(before, takeSnapshot(), /docker|containerd|host file/);
  });
}

testIf("docker with urunc: the monitor gets what docker asked for, and nothing of docker's", {
  needs: [...DOCKER_NEEDS, "gcc"],
  timeoutSeconds: 180,
}, async () => {
  await using scope = new Scope();
  const it = await startWithUrunc(scope, { double: true });
  const { docker, inspect } = it;
  await it.makeImage("guest", guestImage("kvm"));
  const run = ["run", "--runtime=double"];

  const named = await docker([
    ...run,
    "--rm",
    ...AS_NOBODY,
    "--env=SECRET=1",
    "--hostname=box",
    "--ulimit=nofile=512:1024",
    "guest",
    "report /etc/passwd",
  ], { check: true });
  const report = parseReport(named.stdout);
  assert.deepEqual(report.uids, [65534, 65534, 65534]);
  assert.deepEqual(report.gids, [65534, 65534, 65534]);
  assert.ok(report.groups.includes(108));
  assert.deepEqual(report.env, []);
  assert.equal(report.cwd, "/");
  assert.equal(report.hostname, "box");
  // /dev/net/tun, attached to the tap: 10, 200 in the kernel's devices.txt.
  assert.deepEqual(extraFds(report).map(({ fd, major, minor }) => [fd, major, minor]), [
    [3, 10, 200],
  ]);
  assert.deepEqual(report.opens, { "/etc/passwd": { errno: 2 } });
  assert.equal(report.noNewPrivs, 1);
  assert.ok(!report.root.some((entry) => ["proc", "sys", "etc", "home"].includes(entry.name)));
  const nofile = report.rlimits[7];
  assert.deepEqual([nofile?.soft, nofile?.hard].map((it) => parseInt(it ?? "", 16)), [512, 1024]);

  // Root in the image is root without any right.
  const asRoot = parseReport((await docker([...run, "--rm", "guest", "report"])).stdout);
  assert.deepEqual(asRoot.uids, [0, 0, 0]);
  assert.deepEqual(new Set(Object.values(asRoot.capabilities)), new Set(["0".repeat(16)]));

  // Input, much output, codes and a signal that is ignored.
  const echo = await docker([...run, "--rm", "--interactive", "guest", "read; exit 19"], {
    stdin: "one\ntwo\n",
  });
  assert.deepEqual([echo.code, echo.stdout], [9, "one\ntwo\n"]);
  const megabyte = 1 << 20;
  const much = await docker([...run, "--name=much", "guest", `output ${megabyte}`]);
  assert.equal(much.stdout.length, megabyte);
  assert.equal((await docker(["logs", "much"])).stdout, much.stdout);
  const stubborn = (await docker([...run, "--detach", "guest", "ignore 15; print on; idle"], {
    check: true,
  })).stdout.trim();
  await logsWith(it, stubborn, "on");
  const { State } = await inspect(stubborn);
  await docker(["stop", "--time=1", stubborn], { check: true });
  assert.equal((await inspect(stubborn)).State.ExitCode, 137);
  assert.ok(!isAlive(State.Pid));

  // The same container again.
  await docker(["restart", "--time=1", "much"], { check: true });
  await docker(["wait", "much"], { check: true });
  assert.equal((await docker(["logs", "much"])).stdout.length, 2 * megabyte);
  await docker(["rm", "--force", stubborn, "much"], { check: true });
});

testIf("docker with urunc: an unsupported option is reported by docker and leaves nothing", {
  needs: [...DOCKER_NEEDS, "gcc"],
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const it = await startWithUrunc(scope, { double: true });
  const broken = guestImage("kvm").filter((file) => file.path === "/urunc.json");
  await it.makeImage("broken", broken);
  const result = await it.docker(["run", "--runtime=double", "--name=broken", "broken", "report"]);
  assert.notEqual(result.code, 0);
  assert.match(result.stderr, /\/unikernel\/guest\.elf/);
  await it.docker(["rm", "broken"], { check: true });
  const mounts = (await it.onHost(["cat", "/proc/self/mountinfo"])).stdout;
  assert.doesNotMatch(mounts, /overlay/);
});

testIf("docker with urunc: dockerd warns of nothing about the runtime", {
  needs: DOCKER_NEEDS,
}, async () => {
  await using scope = new Scope();
  const { directory, docker } = await startWithUrunc(scope);
  const info = await docker(["info", "--format", "{{json .Runtimes}}"], { check: true });
  assert.ok("urunc" in JSON.parse(info.stdout));
  const log = await Deno.readTextFile(`${directory}/dockerd.log`);
  assert.doesNotMatch(log, /level=(warning|error).*urunc/);
});

testIf("docker with urunc: another container joins a guest's network and PID namespace", {
  needs: NEEDS,
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const it = await startWithUrunc(scope);
  const { docker } = it;
  await it.makeImage("guest", guestImage("tcg"));
  await it.makeImage("ordinary", busyboxFiles());
  const id = (await docker(
    ["run", "--detach", "--runtime=urunc", ...AS_NOBODY, "guest", "idle"],
    { check: true },
  )).stdout.trim();
  await logsWith(it, id, "idle");
  const beside = async (...words: string[]) =>
    (await docker(["run", "--rm", ...words], { check: true })).stdout;

  const network = await beside(
    `--network=container:${id}`,
    "ordinary",
    "/bin/cat",
    "/proc/net/dev",
  );
  assert.match(network, /\btap0_urunc:/);
  assert.match(network, /\beth0:/);

  const processes = await beside(`--pid=container:${id}`, "ordinary", "/bin/busybox", "ps");
  assert.match(processes, /^\s*1 65534 .*urunc-waiter/m);
  assert.match(processes, /qemu-system-x86_64 /);

  await docker(["rm", "--force", id], { check: true });
});
