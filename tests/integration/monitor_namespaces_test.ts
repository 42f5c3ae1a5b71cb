/**
 * The monitor's own namespaces: a monitor that was taken over does not reach what shares the container's.
 * Without filters of system calls, which would refuse all of it, too.
 */
import assert from "node:assert/strict";
import { doubleBinary } from "../support/double.ts";
import { childrenOf, isAlive, readStatus, run, waitFor } from "../support/process.ts";
import { assertNothingLeft, assertSucceeded, doubleContainer } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const needs = ["root", "gcc", "unshare", "nsenter", "setpriv", "perl"];

const TYPES = ["mount", "network", "ipc", "uts", "pid"] as const;
/** Below /proc/PID/ns. */
const FILES = ["mnt", "net", "ipc", "uts", "pid", "user", "cgroup"] as const;
const FILE_OF = { mount: "mnt", network: "net", ipc: "ipc", uts: "uts", pid: "pid" };

const PORT = 9901;
const KEY = 4711;
const [ENOENT, EACCES, ENETUNREACH, ECONNREFUSED] = [2, 13, 101, 111];

/** Listens as a sidecar does, with the uid of the monitor: on loopback, an abstract socket, with memory. */
const SIDECAR = `use Socket; use IO::Socket::INET;
my $tcp = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => ${PORT}, Listen => 5) or die;
socket(my $unix, AF_UNIX, SOCK_STREAM, 0) or die;
bind($unix, sockaddr_un("\\0sidecar")) && listen($unix, 5) or die "abstract: $!";
shmget(${KEY}, 4096, 01666) // die "shmget: $!";
print "ready\\n"; $| = 1; sleep 1000;`;

const ATTEMPTS = [
  `connect-port ${PORT}`,
  "connect-abstract sidecar",
  `find-shared ${KEY}`,
  "find-processes",
];

/** A pod's namespaces with a sidecar in them; returns the pid of its first process. */
async function pod(scope: Scope): Promise<number> {
  const program = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "perl", "-e"];
  const script = 'ip link set lo up; "$@" & exec sleep 1000';
  const args = ["--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child", "sh", "-c", script];
  const child = new Deno.Command("unshare", {
    args: [...args, "sh", ...program, SIDECAR],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  scope.defer("end the pod", async () => {
    child.kill("SIGKILL");
    await child.status;
  });
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  assert.equal(new TextDecoder().decode(value), "ready\n");
  await reader.cancel();
  return childrenOf(child.pid)[0]!;
}

function namespacesOf(pid: number): Record<string, string> {
  return Object.fromEntries(FILES.map((it) => [it, Deno.readLinkSync(`/proc/${pid}/ns/${it}`)]));
}

function answersIn(output: string): Record<string, number>[] {
  return output.split("\n").filter((it) => /^\{"(errno|found)"/.test(it)).map((it) =>
    JSON.parse(it)
  );
}

/** The container of a pod: its waiter is in all that the pod shares. */
function podContainer(scope: Scope, held: number, commands: string) {
  return doubleContainer(scope, commands, {
    user: { uid: 65534, gid: 65534 },
    configuration: 'seccomp = "off"\naccelerator = "tcg"',
    namespaces: TYPES.map((type) =>
      type === "mount" ? { type } : { type, path: `/proc/${held}/ns/${FILE_OF[type]}` }
    ),
  });
}

testIf("a monitor reaches nothing of its pod, in which its waiter is", { needs }, async () => {
  await using scope = new Scope();
  const held = await pod(scope);
  // What it tries would succeed in the pod's namespaces, which the waiter is in.
  const user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
  const free = await run([
    ...["nsenter", "-t", `${held}`, "--net", "--ipc", "--uts", "--pid", ...user],
    ...[await doubleBinary(), "-append", ATTEMPTS.join("; ")],
  ], { check: true });
  const [port, abstract, shared, others] = answersIn(free.stdout);
  assert.deepEqual([port, abstract, shared], [{ errno: 0 }, { errno: 0 }, { errno: 0 }]);
  assert.ok(others!.found! >= 2, `${others!.found} processes of the pod`);

  const container = await podContainer(scope, held, [...ATTEMPTS, "report", "idle"].join("; "));
  const pid = await container.mustStart();
  const report = await container.report();
  const [unreachable, ...rest] = answersIn(container.output());
  // Landlock, where the kernel has it, refuses before there is no way.
  assert.ok([ENETUNREACH, EACCES].includes(unreachable!.errno!), `${unreachable!.errno}`);
  assert.deepEqual(rest, [{ errno: ECONNREFUSED }, { errno: ENOENT }, { found: 0 }]);
  assert.deepEqual([report.pid, report.ppid], [1, 0]);

  const monitor = await container.monitorPid();
  const [outer, waiter, own] = [held, pid, monitor].map(namespacesOf);
  for (const file of FILES) {
    if (file !== "mnt" && file !== "cgroup") assert.equal(waiter![file], outer![file], file);
    const isOwn = ["net", "ipc", "pid"].includes(file);
    assert.equal(own![file] !== waiter![file], isOwn, file);
  }
  const { annotations } = await container.state();
  assert.equal(annotations?.["com.urunc.monitor.namespaces"], "network ipc pid");

  // What joins the container's namespaces by its pid finds the pod.
  const inside = ["nsenter", "-t", `${pid}`, "--net", "--pid", "--ipc", ...user];
  const joined = await run([...inside, await doubleBinary(), "-append", ATTEMPTS.join("; ")]);
  assert.equal(answersIn(joined.stdout)[0]!.errno, 0);

  assertSucceeded(await container.delete("--force"), "delete");
  assertNothingLeft(container, pid);
  assert.ok(!isAlive(monitor));
  assert.equal(readStatus(held).name, "sleep");
});

testIf("a created container's monitor waits in its namespaces, and goes with init", {
  needs,
}, async () => {
  for (const victim of ["init", "monitor"] as const) {
    await using scope = new Scope();
    const held = await pod(scope);
    const container = await podContainer(scope, held, "idle");
    const pid = await container.mustCreate();
    const [monitor] = childrenOf(pid);
    assert.equal(readStatus(monitor!).name, "urunc-monitor");
    const [waiter, own] = [pid, monitor!].map(namespacesOf);
    assert.notEqual(own!.net, waiter!.net);
    // Nothing of the caller's, nor of init's: the connection to it, and what the monitor gets.
    for (const fd of [0, 1, 2]) {
      assert.match(Deno.readLinkSync(`/proc/${monitor}/fd/${fd}`), /^socket:/);
    }
    assert.equal(Deno.readLinkSync(`/proc/${monitor}/cwd`), Deno.readLinkSync(`/proc/${pid}/root`));
    Deno.kill(victim === "init" ? pid : monitor!, "SIGKILL");
    await waitFor(() => !isAlive(monitor!) || undefined, {
      timeoutSeconds: 10,
      what: "the end of the monitor's process",
    });
    if (victim === "monitor") {
      const { code, stderr } = await container.start();
      assert.notEqual(code, 0);
      assert.match(stderr, /start container .*: send standard files to the monitor: Broken pipe/);
    }
    assertSucceeded(await container.delete("--force"), "delete");
    assertNothingLeft(container, pid);
  }
});

testIf("a container that shares nothing has its monitor in its own PID namespace", {
  needs,
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "report; idle", {
    namespaces: TYPES.map((type) => ({ type })),
  });
  const pid = await container.mustStart();
  const report = await container.report();
  assert.equal(report.ppid, 1);
  const [waiter, own] = [pid, await container.monitorPid()].map(namespacesOf);
  for (const file of FILES) {
    assert.equal(own![file] !== waiter![file], ["net", "ipc"].includes(file), file);
  }
});
