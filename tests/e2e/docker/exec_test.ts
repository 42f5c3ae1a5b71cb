/** Further processes of a guest, as docker has them of any container: exec, health checks, attach, top. */
import assert from "node:assert/strict";
import { type StartedDocker, UNDER_TEST } from "../../support/docker.ts";
import { linuxImage } from "../../support/guest_images.ts";
import { childrenOf, isAlive, listPids, readCommandLine, waitFor } from "../../support/process.ts";
import { Terminal } from "../../support/pty.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { uruncBinary } from "../../support/urunc.ts";
import { logsWith, NEEDS, startWithUrunc } from "./_common.ts";

const sh = (script: string) => ["busybox", "sh", "-c", script];

/** A guest that copies its input to its output; healthy as long as /tmp/ill is not there. */
async function startGuest(scope: Scope): Promise<{ it: StartedDocker; id: string }> {
  const it = await startWithUrunc(scope) as StartedDocker;
  const files = await linuxImage(scope, "tcg", { moduleTree: true }, { agent: "on" });
  await it.makeImage("linux", files);
  const health = "echo looked; ! busybox test -e /tmp/ill";
  const { stdout } = await it.docker([
    ...["run", "--interactive", "--detach", `--runtime=${UNDER_TEST}`, "--network=none"],
    ...["--env=PATH=/bin", `--health-cmd=${health}`, "--health-interval=1s"],
    ...["--health-retries=1", "--health-start-period=60s", "linux"],
    ...sh("busybox mkdir -p /tmp; busybox ln -s busybox /bin/sh; echo up; exec busybox cat"),
  ], { check: true });
  const id = stdout.trim();
  await logsWith(it, id, "up\n");
  return { it, id };
}

/** One client: sends a line, waits until it comes back, and is killed. */
async function attachOnce({ directory }: StartedDocker, id: string, line: string): Promise<void> {
  const child = new Deno.Command("docker", {
    args: ["--host", `unix://${directory}/docker.sock`, "attach", "--sig-proxy=false", id],
    env: { DOCKER_CONFIG: `${directory}/client` },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const writer = child.stdin.getWriter();
  const reader = child.stdout.getReader();
  await writer.write(new TextEncoder().encode(line));
  assert.equal(new TextDecoder().decode((await reader.read()).value), line);
  child.kill("SIGKILL");
  await child.status;
  await Promise.allSettled([writer.abort(), reader.cancel()]);
}

async function waitForHealth({ docker }: StartedDocker, id: string, status: string) {
  await waitFor(async () => {
    const { stdout } = await docker(["inspect", "--format", "{{.State.Health.Status}}", id]);
    return stdout.trim() === status;
  }, { timeoutSeconds: 60, what: `the guest to be ${status}`, intervalMilliseconds: 300 });
}

testIf("docker: exec, health checks, attach and top of a guest with an agent", {
  needs: [...NEEDS, "busybox", "cpio", "apt-get"],
  timeoutSeconds: 300,
}, async () => {
  await using scope = new Scope();
  const { it, id } = await startGuest(scope);
  const { docker } = it;
  const exec = (command: string[], stdin?: string, flags: string[] = []) =>
    docker(["exec", ...flags, id, ...command], { stdin, timeoutSeconds: 30 });

  // The first client's end is not the input's.
  for (const line of ["one\n", "two\n", "three\n"]) await attachOnce(it, id, line);
  assert.equal((await docker(["logs", id])).stdout, "up\none\ntwo\nthree\n");

  assert.deepEqual(await exec(sh("echo out; echo err >&2; exit 3")), {
    code: 3,
    stdout: "out\n",
    stderr: "err\n",
  });
  const counted = await exec(["busybox", "wc", "-c"], "hello world\n", ["--interactive"]);
  assert.deepEqual([counted.code, counted.stdout], [0, "12\n"]);
  const options = ["--user=7:8", "--workdir=/tmp", "--env=WORD=a b"];
  const who = await exec(sh('busybox id -u; busybox id -g; pwd; echo "$WORD"'), "", options);
  assert.equal(who.stdout, "7\n8\n/tmp\na b\n");
  assert.equal((await exec(sh("kill -9 $$"))).code, 137);
  // Docker's own number, which differs from version to version.
  const missing = await exec(["/no/such"]);
  assert.ok([126, 127].includes(missing.code), missing.stderr);
  assert.match(missing.stderr + missing.stdout, /exec: "\/no\/such": .*no such file or directory/);
  const directory = await exec(["/etc"]);
  assert.equal(directory.code, 126);
  assert.match(directory.stderr + directory.stdout, /permission denied/);

  await waitForHealth(it, id, "healthy");
  await exec(sh("busybox touch /tmp/ill"), undefined, ["--detach"]);
  await waitForHealth(it, id, "unhealthy");
  const format = "{{range .State.Health.Log}}{{.ExitCode}} {{.Output}}{{end}}";
  assert.match((await docker(["inspect", "--format", format, id])).stdout, /1 looked\n/);

  const terminal = new Terminal(scope);
  terminal.master.resize(33, 99);
  const { ended } = terminal.spawn(scope, [
    ...["docker", "--host", `unix://${it.directory}/docker.sock`, "exec", "-it", id],
    ...sh("trap 'exit 5' INT; while :; do busybox stty size; busybox sleep 0.2; done"),
  ], { env: { DOCKER_CONFIG: `${it.directory}/client` } });
  await terminal.master.waitForText("33 99\r\n");
  terminal.master.resize(44, 111);
  await terminal.master.waitForText("44 111\r\n");
  await terminal.master.type("\x03");
  assert.equal((await ended).exitCode, 5);

  // The host's ps, of what serves the guest there: docker's API has no room for others.
  assert.match((await docker(["top", id], { check: true })).stdout, /urunc-waiter/);

  const root = "/run/containerd/urunc/moby";
  const listed = await it.onHost([await uruncBinary(), "--root", root, "ps", "--guest", id], {
    check: true,
  });
  assert.match(
    listed.stdout,
    /^Processes in the guest, as the guest reports them:\nUID +PID .*\n0 +1 /,
  );
  assert.match(listed.stdout, /^0 +1 +0 +S +busybox cat$/m);

  const [shim] = listPids().filter((pid) => {
    const words = readCommandLine(pid);
    return words.includes("moby") && words.some((word) => word.includes(it.directory));
  });
  // Detached: docker returns when it is started, and no client waits for one whose shim is killed.
  await docker(["exec", "--detach", id, ...sh("exec busybox sleep 1000")], { check: true });
  const relay = childrenOf(shim!).find((pid) => readCommandLine(pid)[0] === "urunc-relay");
  assert.ok(relay !== undefined, "the exec has no relay");
  const left = [relay, ...childrenOf(shim!)];
  Deno.kill(shim!, "SIGKILL");
  await waitFor(() => left.every((pid) => !isAlive(pid)), {
    timeoutSeconds: 20,
    what: "their end",
  });
});

testIf("docker: exec by the runtime's path", {
  needs: [...NEEDS, "busybox", "cpio", "apt-get"],
  timeoutSeconds: 300,
}, async () => {
  await using scope = new Scope();
  const it = await startWithUrunc(scope);
  const { docker } = it;
  await it.makeImage(
    "linux",
    await linuxImage(scope, "tcg", { moduleTree: true }, { agent: "on" }),
  );
  const { stdout } = await docker([
    ...["run", "--detach", "--runtime=urunc", "--network=none", "--env=PATH=/bin", "linux"],
    ...sh("echo up; busybox sleep 1000"),
  ], { check: true });
  const id = stdout.trim();
  await logsWith(it, id, "up\n");
  const exec = (command: string[], stdin?: string, flags: string[] = []) =>
    docker(["exec", ...flags, id, ...command], { stdin, timeoutSeconds: 60 });

  assert.deepEqual(await exec(sh("echo out; echo err >&2; exit 3")), {
    code: 3,
    stdout: "out\n",
    stderr: "err\n",
  });
  const counted = await exec(["busybox", "wc", "-c"], "hello world\n", ["--interactive"]);
  assert.deepEqual([counted.code, counted.stdout], [0, "12\n"]);
  const who = await exec(sh("busybox id; pwd"), undefined, ["--user=7:8", "--workdir=/bin"]);
  assert.equal(who.stdout, "uid=7 gid=8 groups=8\n/bin\n");
  assert.equal((await exec(sh("kill -9 $$"))).code, 137);
  const missing = await exec(["nothing"]);
  assert.ok([126, 127].includes(missing.code), missing.stderr);
  assert.match(missing.stderr + missing.stdout, /executable file not found in \$PATH/);
  await docker(["pause", id], { check: true });
  assert.match((await exec(sh("true"))).stderr, /paused/);
  await docker(["unpause", id], { check: true });

  const terminal = new Terminal(scope);
  terminal.master.resize(33, 99);
  const { ended } = terminal.spawn(scope, [
    ...["docker", "--host", `unix://${it.directory}/docker.sock`, "exec", "-it", id],
    ...sh("busybox stty size; read line; exit 4"),
  ], { env: { DOCKER_CONFIG: `${it.directory}/client` } });
  await terminal.master.waitForText("33 99\r\n", 60);
  await terminal.master.type("\r");
  assert.equal((await ended).exitCode, 4);
});
