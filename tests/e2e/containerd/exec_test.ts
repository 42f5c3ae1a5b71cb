/** Further processes of guests with an agent: ctr's, and those that Kubernetes' probes and kubectl ask for. */
import assert from "node:assert/strict";
import { type Containerd, CONTAINERD_NEEDS, startContainerd } from "../../support/containerd.ts";
import { linuxImage } from "../../support/guest_images.ts";
import { Pod } from "../../support/pod.ts";
import { childrenOf, isAlive, readCommandLine, waitFor } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { assertNothingLeft, collectEvents, LINUX } from "./_common.ts";
import { CRI_NEEDS, missingPlugins, remoteCommand, startWithCri } from "./_cri.ts";

const GUEST_NEEDS = ["qemu-system-x86_64", "busybox", "cpio", "apt-get"];
const sh = (script: string) => ["busybox", "sh", "-c", script];
const linux = (scope: Scope) => linuxImage(scope, "tcg", { moduleTree: true }, { agent: "on" });

testIf("ctr task exec in a guest: files, codes, signals, ids and events", {
  needs: [...CONTAINERD_NEEDS, ...GUEST_NEEDS],
  timeoutSeconds: 90,
}, async () => {
  await using scope = new Scope();
  const it = await startContainerd(scope);
  const events = await collectEvents(scope, it);
  await it.makeImage(LINUX, await linux(scope));
  await it.ctrRun(
    ["--detach", "--env=PATH=/bin", "--null-io"],
    LINUX,
    "box",
    sh("exec busybox sleep 1000"),
    {
      check: true,
    },
  );
  const exec = (id: string, command: string[], stdin = "") =>
    it.ctr(["task", "exec", "--exec-id", id, "box", ...command], { stdin, timeoutSeconds: 30 });

  const first = await exec("first", sh("busybox cat; echo err >&2; exit 7"), "hello world\n");
  assert.deepEqual([first.code, first.stdout, first.stderr], [7, "hello world\n", "err\n"]);
  const missing = await exec("missing", ["/no/such"]);
  assert.match(missing.stderr, /exec failed: .*: "\/no\/such": .*no such file or directory/);

  const sleeping = exec("sleeps", sh("trap 'exit 9' TERM; while :; do busybox sleep 0.1; done"));
  const ps = () => it.ctr(["task", "ps", "box"], { check: true });
  await waitFor(async () => /sleeps/.test((await ps()).stdout), {
    timeoutSeconds: 20,
    what: "the process in the list",
  });
  assert.match((await exec("sleeps", ["busybox", "true"])).stderr, /already exists/);
  await it.ctr(["task", "kill", "--exec-id", "sleeps", "--signal", "SIGTERM", "box"], {
    check: true,
  });
  assert.equal((await sleeping).code, 9);

  // It ends with the guest, and before it.
  const rest = exec("rest", ["busybox", "sleep", "1000"]);
  await waitFor(async () => /rest/.test((await ps()).stdout), { timeoutSeconds: 20, what: "it" });
  await it.ctr(["task", "kill", "--signal", "SIGKILL", "box"], { check: true });
  assert.equal((await rest).code, 137);
  await waitFor(async () => (await it.ctr(["task", "delete", "box"])).code !== 1, {
    timeoutSeconds: 20,
    what: "its deletion",
  });
  const ran = ["/tasks/exec-added", "/tasks/exec-started", "/tasks/exit"];
  await events.expect("box", [
    ...["/tasks/create", "/tasks/start", ...ran, "/tasks/exec-added", ...ran, ...ran],
    ...["/tasks/exit", "/tasks/delete"],
  ]);
  await it.ctr(["containers", "delete", "box"], { check: true });
  await assertNothingLeft(it);
});

testIf("CRI: exec probes, kubectl exec with and without a terminal, and attach of a guest", {
  needs: [...CRI_NEEDS, ...GUEST_NEEDS],
  skip: missingPlugins(),
  timeoutSeconds: 90,
}, async () => {
  await using scope = new Scope();
  const it = await startWithCri(scope, false, "kvm");
  await it.makeImage(LINUX, await linux(scope));
  const pod = await Pod.run(scope, it);
  const { cri } = pod;
  const command = sh(
    "busybox mkdir -p /tmp; echo up; busybox cat; echo over; exec busybox sleep 1000",
  );
  const envs = [{ key: "PATH", value: "/bin" }];
  const id = await pod.start("guest", {
    image: LINUX,
    command,
    envs,
    stdin: true,
    stdinOnce: true,
  });
  await pod.logsWith("guest", "up", 60);

  const probe = sh("echo looked; ! busybox test -e /tmp/ill");
  assert.deepEqual(await cri.exec(id, probe), { stdout: "looked\n", stderr: "", exitCode: 0 });
  // containerd writes it into the sandbox's config.json only.
  assert.equal((await cri.exec(id, ["busybox", "hostname"])).stdout, "pod\n");
  assert.equal((await cri.exec(id, sh(": >/tmp/ill"))).exitCode, 0);
  assert.deepEqual(await cri.exec(id, probe), { stdout: "looked\n", stderr: "", exitCode: 1 });
  await assert.rejects(
    () => cri.exec(id, ["busybox", "sleep", "1000"], 1n),
    /timeout|DeadlineExceeded/,
  );
  await assert.rejects(() => cri.exec(id, ["/no/such"]), /no such file or directory/);

  const copied = await remoteCommand(
    it,
    await cri.execUrl(id, sh("read line; echo $line; exit 4")),
    {
      stdin: "hello world\n",
    },
  );
  assert.deepEqual([copied.code, copied.stdout], [4, "hello world\n"]);
  const sized = sh("busybox sleep 1; busybox stty size");
  const terminal = await remoteCommand(it, await cri.execUrl(id, sized, true), { size: "33x99" });
  assert.deepEqual([terminal.code, terminal.stdout], [0, "33 99\r\n"]);

  const attached = await remoteCommand(it, await cri.attachUrl(id), {
    stdin: "first\n",
    until: "first\n",
  });
  assert.match(attached.stdout, /first\n$/);
  assert.equal(await pod.logsWith("guest", "over"), "up\nfirst\nover\n");
  await pod.stopAndRemove(id, 0);
  await pod.remove();
  await assertNothingLeft(it);
});

/** Prints more than anybody reads, and goes on. */
const FLOOD = sh("while :; do echo flood; done");
const SLEEP = sh("exec busybox sleep 1000");

/**
 * Waits until a shim has so many relays.
 *
 * @returns its pid, and those of all processes that it has started: relays, waiters, and their monitors
 */
async function waitForRelays(it: Containerd, count: number): Promise<[number, number[]]> {
  return await waitFor(() => {
    for (const shim of it.shims()) {
      const children = childrenOf(shim);
      const relays = children.filter((pid) => readCommandLine(pid)[0] === "urunc-relay");
      if (relays.length < count) continue;
      return [shim, children.flatMap((pid) => [pid, ...childrenOf(pid)])] as [number, number[]];
    }
  }, { timeoutSeconds: 30, what: `${count} relays` });
}

testIf("ctr: a shim that is killed while processes run in its guest leaves nothing", {
  needs: [...CONTAINERD_NEEDS, ...GUEST_NEEDS],
  timeoutSeconds: 90,
}, async () => {
  await using scope = new Scope();
  const it = await startContainerd(scope);
  await it.makeImage(LINUX, await linux(scope));
  const runBox = () =>
    it.ctrRun(["--detach", "--env=PATH=/bin", "--null-io"], LINUX, "box", SLEEP, { check: true });
  const exec = (id: string, command: string[]) =>
    it.ctr(["task", "exec", "--exec-id", id, "box", ...command], { timeoutSeconds: 60 });
  await runBox();
  assert.equal((await exec("first", ["busybox", "true"])).code, 0);
  const running = [exec("sleeps", SLEEP), exec("floods", FLOOD)];
  const [shim, processes] = await waitForRelays(it, running.length);
  await waitFor(async () => {
    const { stdout } = await it.ctr(["task", "ps", "box"], { check: true });
    return /sleeps/.test(stdout) && /floods/.test(stdout);
  }, { timeoutSeconds: 20, what: "both in the list" });
  // Two relays, the waiter and the monitor.
  assert.ok(processes.length >= 4, `${processes}`);

  Deno.kill(shim, "SIGKILL");
  for (const { code } of await Promise.all(running)) assert.notEqual(code, 0);
  await waitFor(() => !processes.some(isAlive), {
    timeoutSeconds: 20,
    what: "the end of guest and relays",
  });
  await assertNothingLeft(it);
  await it.ctr(["containers", "delete", "box"], { check: true });
  // Its name is free, and that of a process in it.
  await runBox();
  assert.equal((await exec("sleeps", sh("exit 6"))).code, 6);
  await it.ctr(["task", "rm", "--force", "box"], { check: true });
  await it.ctr(["containers", "delete", "box"], { check: true });
  await assertNothingLeft(it);
});

testIf("CRI: a shim that is killed while processes run in its guest leaves nothing", {
  needs: [...CRI_NEEDS, ...GUEST_NEEDS],
  skip: missingPlugins(),
  timeoutSeconds: 90,
}, async () => {
  await using scope = new Scope();
  const it = await startWithCri(scope, false, "kvm");
  await it.makeImage(LINUX, await linux(scope));
  const pod = await Pod.run(scope, it);
  const { cri } = pod;
  const envs = [{ key: "PATH", value: "/bin" }];
  const id = await pod.start("guest", { image: LINUX, command: SLEEP, envs });
  assert.equal((await cri.exec(id, ["busybox", "true"])).exitCode, 0);
  const probe = cri.exec(id, SLEEP).then(() => undefined, (error: Error) => error.message);
  const url = await cri.execUrl(id, sh("echo up; exec busybox sleep 1000"));
  const remote = remoteCommand(it, url, {});
  const [shim, processes] = await waitForRelays(it, 2);

  Deno.kill(shim, "SIGKILL");
  assert.notEqual(await probe, undefined);
  assert.notEqual((await remote).code, 0);
  await waitFor(() => !processes.some(isAlive), {
    timeoutSeconds: 20,
    what: "the end of guest and relays",
  });
  await pod.stopAndRemove(id, 0);
  await pod.remove();
  await assertNothingLeft(it);
});
