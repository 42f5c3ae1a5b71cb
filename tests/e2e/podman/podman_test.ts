/** Debian's podman and its conmon with dist/urunc as the runtime. */
import assert from "node:assert/strict";
import { cgroupDirectories } from "../../support/cgroups.ts";
import { doubleConfiguration, extraFds, parseReport } from "../../support/double.ts";
import { readIdMaps } from "../../../lib/host/id_maps.ts";
import { busyboxFiles } from "../../support/docker.ts";
import { guestImage, linuxImage, uruncJson } from "../../support/guest_images.ts";
import { assertNoLeaks, takeSnapshot } from "../../support/leaks.ts";
import { type Podman, PODMAN_NEEDS, startPodman } from "../../support/podman.ts";
import { isAlive, monitorOf, readStatus, waitFor } from "../../support/process.ts";
import { Terminal } from "../../support/pty.ts";
import { Scope } from "../../support/scope.ts";
import { SEEN, sitAtEcho } from "../../support/sitting.ts";
import { testIf } from "../../support/skip.ts";
import { uruncBinary } from "../../support/urunc.ts";
import { RUN_PREFIX } from "../../support/mark.ts";

const NEEDS = [...PODMAN_NEEDS, "qemu-system-x86_64"];
const AS_NOBODY = ["--user=65534:65534", "--group-add=108"];

for (const accelerator of ["tcg", "kvm"] as const) {
  testIf(`podman: a guest under ${accelerator} runs, idles, pauses, stops, is removed`, {
    needs: accelerator === "kvm" ? [...NEEDS, "kvm"] : NEEDS,
    timeoutSeconds: 120,
  }, async () => {
    const before = takeSnapshot();
    {
      await using scope = new Scope();
      const it = await startPodman(scope, await uruncBinary());
      const { podman, inspect } = it;
      await it.makeImage("guest", guestImage(accelerator));

      const hello = await it.run(["--rm", ...AS_NOBODY, "guest", "hello", "Hello", "3"]);
      assert.equal(hello.stdout, "Hello\n", hello.stderr);
      assert.equal(hello.stderr, "", "conmon and podman have nothing to complain of");
      assert.equal(hello.code, 3);

      await it.run(["--detach", "--name=idle", "--memory=512m", ...AS_NOBODY, "guest", "idle"], {
        check: true,
      });
      await logsWith(it, "idle", "idle");
      const { State, Id, OCIRuntime } = await inspect("idle");
      assert.equal(State.Status, "running");
      assert.equal(OCIRuntime, await uruncBinary());
      const monitor = monitorOf(State.Pid);
      assert.match(await Deno.readLink(`/proc/${monitor}/exe`), /qemu-system-x86_64$/);
      for (const pid of [State.Pid, monitor]) assertUnprivileged(pid);
      const top = await podman(["top", "idle", "-eo", "pid,comm"], { check: true });
      assert.match(top.stdout, /^ *\d+ qemu-system-x86$/m);

      await podman(["pause", "idle"], { check: true });
      assert.equal((await inspect("idle")).State.Status, "paused");
      await podman(["unpause", "idle"], { check: true });
      assert.equal((await inspect("idle")).State.Status, "running");

      await podman(["stop", "--time=5", "idle"], { check: true });
      const stopped = (await inspect("idle")).State;
      assert.equal(stopped.Status, "exited");
      assert.equal(stopped.ExitCode, 143);
      assert.ok(!isAlive(State.Pid));

      // A second time, and not gently.
      await podman(["start", "idle"], { check: true });
      const { Pid } = (await inspect("idle")).State;
      await podman(["kill", "--signal=KILL", "idle"], { check: true });
      await waitFor(async () => (await inspect("idle")).State.Status === "exited", {
        timeoutSeconds: 20,
        what: "podman to see the end",
      });
      assert.equal((await inspect("idle")).State.ExitCode, 137);
      await podman(["rm", "idle"], { check: true });
      assert.ok(!isAlive(Pid));
      assert.deepEqual(cgroupDirectories(`/${RUN_PREFIX}podman/libpod-${Id}`), []);
      assert.equal((await podman(["ps", "--all", "--quiet"])).stdout, "");
    }
    assertNoLeaks(before, takeSnapshot(), /podman|urunc|conmon|host file/);
  });
}

testIf("podman --uidmap: the monitor is in the container's user namespace", {
  needs: NEEDS,
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const it = await startPodman(scope, await uruncBinary());
  await it.makeImage("guest", guestImage("tcg"));
  const maps = ["--uidmap=0:1700000000:65536", "--gidmap=0:1700100000:65536"];
  await it.run(["--detach", "--name=idle", ...maps, "--user=5:6", "guest", "idle"], {
    check: true,
  });
  await logsWith(it, "idle", "idle");
  const { Pid } = (await it.inspect("idle")).State;
  const monitor = monitorOf(Pid);
  for (const pid of [Pid, monitor]) {
    const { uids, gids } = readStatus(pid);
    assert.deepEqual([uids[0], gids[0]], [1_700_000_005, 1_700_100_006]);
  }
  const { uids, gids } = readIdMaps(monitor);
  assert.deepEqual(uids, [{ containerID: 0, hostID: 1_700_000_000, size: 65536 }]);
  assert.deepEqual(gids, [{ containerID: 0, hostID: 1_700_100_000, size: 65536 }]);
  await it.podman(["rm", "--force", "--time=0", "idle"], { check: true });
});

testIf("podman run -it: keys, lines, size, exit code, and the terminal afterwards", {
  needs: NEEDS,
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const it = await startPodman(scope, await uruncBinary());
  await it.makeImage("guest", guestImage("tcg"));
  const exitCode = await sitAtEcho({
    command: it.command(
      it.runArguments(["-it", "--name=sit", ...AS_NOBODY, "guest", "echo"]),
    ),
    env: { PODMAN_IGNORE_CGROUPSV1_WARNING: "1" },
    pid: async () => (await it.inspect("sit")).State.Pid,
    bootSeconds: 60,
  });
  assert.equal(exitCode, 5);
  assert.equal((await it.podman(["logs", "sit"])).stdout, SEEN);
});

testIf("podman: what the runtime refuses is what the user reads", {
  needs: NEEDS,
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const it = await startPodman(scope, await uruncBinary());
  const unknown = { unikernelType: "elf", hypervisor: "none", binary: "/unikernel/guest.elf" };
  await it.makeImage("unknown", [{ path: "/urunc.json", content: uruncJson(unknown) }]);
  const rows: [string, string[], RegExp][] = [
    ["an unknown monitor", ["unknown", "hello"], /com\.urunc\.unikernel\.hypervisor.*none/],
    // Must not be lost where conmon waits for a terminal.
    ["the same on a terminal", ["-t", "unknown", "hello"], /com\.urunc\.unikernel\.hypervisor/],
  ];
  for (const [what, args, message] of rows) {
    const result = await it.run(["--rm", ...AS_NOBODY, ...args], { timeoutSeconds: 20 });
    assert.equal(result.code, 126, `${what}: ${result.stderr}`);
    assert.match(result.stderr, message, what);
  }
  assert.equal((await it.podman(["ps", "--all", "--quiet"])).stdout, "");

  await it.makeImage("guest", guestImage("tcg"));
  const late: [string[], RegExp][] = [
    [["guest", "/sbin/init"], /\/var\/log\/journal.*: --systemd=false\)/],
    [
      ["--privileged", "guest", "hello"],
      /linux\.devices .*podman pass on all of them for --privileged/,
    ],
    [["--ulimit=nofile=10:10", "guest", "hello"], /RLIMIT_NOFILE: 10 .*--ulimit nofile=64/],
  ];
  for (const [args, message] of late) {
    const result = await it.run(["--rm", ...AS_NOBODY, ...args], { timeoutSeconds: 20 });
    assert.equal(result.code, 126, result.stderr);
    assert.match(result.stderr, message);
  }
  await it.run(["--detach", "--name=idle", ...AS_NOBODY, "guest", "idle"], { check: true });
  const exec = await it.podman(["exec", "idle", "ls"], { timeoutSeconds: 20 });
  assert.notEqual(exec.code, 0);
  assert.match(exec.stderr, /guest/);
  const { Status, Pid } = (await it.inspect("idle")).State;
  assert.equal(Status, "running");
  Deno.kill(monitorOf(Pid), "SIGKILL");
  await waitFor(async () => (await it.inspect("idle")).State.Status === "exited", {
    timeoutSeconds: 20,
    what: "podman to see the end",
  });
});

testIf("podman: exec runs further processes in a guest with an agent", {
  needs: [...NEEDS, "busybox", "cpio", "apt-get"],
  timeoutSeconds: 180,
}, async () => {
  await using scope = new Scope();
  const it = await startPodman(scope, await uruncBinary());
  await it.makeImage(
    "linux",
    await linuxImage(scope, "tcg", { moduleTree: true }, { agent: "on" }),
  );
  const program = ["busybox", "sh", "-c", "echo up; busybox sleep 1000"];
  const options = ["--detach", "--name=it", "--env=PATH=/bin", ...AS_NOBODY];
  await it.run([...options, "linux", ...program], { check: true });
  await logsWith(it, "it", "up");
  const exec = (args: string[], stdin?: string) =>
    it.podman(["exec", ...args], { stdin, timeoutSeconds: 60 });

  const { code, stdout, stderr } = await exec(["it", ...sh("echo out; echo err >&2; exit 3")]);
  assert.deepEqual([code, stdout], [3, "out\n"]);
  assert.match(stderr, /^err\n/);
  const counted = await exec(["--interactive", "it", "busybox", "wc", "-c"], "hello world\n");
  assert.deepEqual([counted.code, counted.stdout], [0, "12\n"]);
  const who = await exec([
    "--user=7:8",
    "--workdir=/bin",
    "--env=A=b c",
    "it",
    ...sh("busybox id; pwd; echo $A"),
  ]);
  assert.equal(who.stdout, "uid=7 gid=8\n/bin\nb c\n");
  const missing = await exec(["it", "nothing"]);
  assert.equal(missing.code, 127, missing.stderr);
  assert.match(missing.stderr, /executable file not found in \$PATH/);
  assert.equal((await exec(["it", "/bin"])).code, 126);

  const terminal = new Terminal(scope);
  terminal.master.resize(33, 99);
  const command = it.command([
    "exec",
    "--interactive",
    "--tty",
    "it",
    ...sh("busybox stty size; read line"),
  ]);
  const { ended } = terminal.spawn(scope, command);
  await terminal.master.waitForText("33 99\r\n", 60);
  await terminal.master.type("\r");
  assert.equal((await ended).exitCode, 0);
});

const sh = (script: string) => ["busybox", "sh", "-c", script];

testIf("podman: a container that is not a guest is an ordinary one, on a terminal too", {
  needs: [...NEEDS, "runc", "busybox"],
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const it = await startPodman(scope, await uruncBinary());
  await it.makeImage("ordinary", busyboxFiles());
  const plain = await it.run(["--rm", "ordinary", "/bin/echo", "hello"]);
  assert.equal(plain.stdout, "hello\n", plain.stderr);
  const terminal = await it.run(["--rm", "-t", "ordinary", "/bin/echo", "hello"]);
  assert.equal(terminal.stdout, "hello\r\n", terminal.stderr);
});

testIf("podman: the monitor gets pipes, with a terminal, too, and nothing of conmon's", {
  needs: [...PODMAN_NEEDS, "gcc"],
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const config = await doubleConfiguration(scope, 'accelerator = "tcg"');
  const it = await startPodman(scope, await uruncBinary(), [`config=${config}`]);
  await it.makeImage("guest", guestImage("tcg"));
  for (const flags of [[], ["-t"]]) {
    const args = ["--rm", ...flags, ...AS_NOBODY, "guest", "report"];
    const { stdout, stderr } = await it.run(args, { timeoutSeconds: 20 });
    const report = parseReport(stdout || stderr);
    const standard = report.fds.slice(0, 3).map(({ fd, type }) => `${fd} ${type}`);
    assert.deepEqual(standard, ["0 fifo", "1 fifo", "2 fifo"]);
    assert.deepEqual(extraFds(report), []);
    assert.deepEqual(report.env, []);
    // Podman puts the primary group among the others; it asks for exactly these.
    assert.deepEqual(report.groups, [108, 65534]);
  }
});

async function logsWith({ podman }: Podman, name: string, text: string): Promise<void> {
  await waitFor(async () => (await podman(["logs", name])).stdout.includes(text), {
    timeoutSeconds: 30,
    what: `"${text}" in the logs`,
    intervalMilliseconds: 200,
  });
}

function assertUnprivileged(pid: number): void {
  const status = readStatus(pid);
  assert.deepEqual(status.uids, Array(4).fill(65534));
  assert.deepEqual(status.gids, Array(4).fill(65534));
  assert.deepEqual(new Set(Object.values(status.capabilities)), new Set([0n]));
  assert.equal(status.noNewPrivs, 1);
}
