/**
 * A monitor that a guest has taken over tries everything that fixtures/double/attempts.h lists, and is
 * refused everything. Two controls show that the attempts are real: with the privilege each of them
 * needs, the kernel does not refuse it.
 */
import assert from "node:assert/strict";
import { attemptsIn, isRefused, lacksPrivilege, parseAttempts } from "../support/attempts.ts";
import { doubleBinary } from "../support/double.ts";
import { readStatus, run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

/** What only a seccomp filter refuses: the double, unlike a monitor, installs none. */
const LEFT_TO_A_FILTER = [
  ...["unshare_user", "clone_user", "clone3_user", "ptrace_trace_me", "io_uring", "user_fault_fd"],
  ...["add_key", "user_keyring", "join_keyring", "shared_memory", "semaphores", "message_queue"],
  ...["personality", "map_write_execute", "protect_write_execute", "call_i386"],
  ...["socket_unix", "socket_pair", "bind_abstract", "socket_inet", "socket_inet_datagram"],
  ...["socket_inet6", "socket_netlink", "socket_netfilter", "socket_vsock"],
];

const needs = ["root", "gcc"];

const NOBODY = { uid: 65534, gid: 65534 };
const ROOT = { uid: 0, gid: 0 };

/** linux/capability.h */
const CAP_SYS_RESOURCE = 24n;

/** A user without capabilities, in no jail. */
const FREE = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"];

/** All capabilities, in namespaces and a root file system that may be spoilt, below the kernel's limits. */
const PRIVILEGED = [
  ...["prlimit", "--nofile=4096:4096", "setpriv", "--inh-caps=+sys_admin"],
  ...["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "sh", "-c"],
  'mount -t tmpfs x "$1" && cp "$2" "$1/double" && mkdir "$1/dev" && mount -t tmpfs x "$1/dev" &&' +
  ' chroot "$1" /double -append attack; true',
  "sh",
];

testIf("hostile monitor: with privileges, none of its attempts lacks any", {
  needs: [...needs, "prlimit", "setpriv", "unshare"],
}, async () => {
  await using scope = new Scope();
  const double = await doubleBinary();
  const directory = await scope.temporaryDirectory("jail");
  const free = parseAttempts((await run([...FREE, double, "-append", "attack"])).stdout);
  const privileged = parseAttempts((await run([...PRIVILEGED, directory, double])).stdout);
  assert.ok(free.attempts.length > 90, `${free.attempts.length} attempts`);
  assert.equal(privileged.attempts.length, free.attempts.length);
  const vain = privileged.attempts.filter((it, i) =>
    lacksPrivilege(it) && isRefused(free.attempts[i]!)
  );
  // A machine that was given no CAP_SYS_RESOURCE has it for nobody.
  const here = readStatus(Deno.pid).capabilities.effective >> CAP_SYS_RESOURCE & 1n;
  assert.deepEqual(vain.map(({ attempt }) => attempt), here ? [] : ["raise_limit"]);
});

for (const user of [NOBODY, ROOT]) {
  testIf(`hostile monitor: as uid ${user.uid} it is refused everything`, { needs }, async () => {
    const attempts = await attemptsIn({ user });
    assert.ok(attempts.length > 90, `${attempts.length} attempts`);
    const done = attempts.filter((it) => !isRefused(it)).map(({ attempt }) => attempt);
    assert.deepEqual(done.filter((it) => !LEFT_TO_A_FILTER.includes(it)), []);
  });
}
