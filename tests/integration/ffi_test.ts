import assert from "node:assert/strict";
import * as linux from "../../ffi/linux.ts";
import { type CommandResult, parseStatus, run } from "../support/process.ts";
import { markedMounts } from "../support/leaks.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const CHILD = new URL("ffi_child.ts", import.meta.url).pathname;

/** Runs one act of ffi_child.ts, with V8 as in the linked program: see `lastErrno`. */
function act(...args: string[]): Promise<CommandResult> {
  const flags = ["-A", "--no-lock", "--no-config", "--v8-flags=--single-threaded"];
  const argv = [Deno.execPath(), "run", ...flags, CHILD, ...args];
  return run(argv, { check: true });
}

/** Runs a shell in the root that ffi_child.ts builds, as what it has become. */
async function inMonitorRoot(script: string): Promise<string> {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("root");
  const before = { mounts: markedMounts(), hostname: Deno.hostname() };
  const { stdout } = await act("becomeMonitor", directory, "sh", "-c", script);
  assert.deepEqual(
    { mounts: markedMounts(), hostname: Deno.hostname() },
    before,
    "the host is as before",
  );
  assert.deepEqual([...Deno.readDirSync(directory)], []);
  return stdout;
}

testIf("a process gives up all it had, and exec keeps it so", {
  needs: ["root", "busybox"],
}, async () => {
  const status = parseStatus(await inMonitorRoot("exec busybox cat /proc/self/status"));
  const { uids, gids, groups, capabilities, noNewPrivs, umask, threads, signals } = status;
  assert.deepEqual({ uids, gids, groups, capabilities, noNewPrivs, umask, threads, signals }, {
    uids: [65534, 65534, 65534, 65534],
    gids: [65534, 65534, 65534, 65534],
    groups: [27, 108],
    capabilities: { inheritable: 0n, permitted: 0n, effective: 0n, bounding: 0n, ambient: 0n },
    noNewPrivs: 1,
    umask: 0o077,
    threads: 1,
    signals: { pending: 0n, blocked: 0n, ignored: 0n, caught: 0n },
  });
});

testIf("the new root holds what was put there", { needs: ["root", "busybox"] }, async () => {
  const script = `
    echo "/: $(busybox ls -a / | busybox tr '\\n' ' ')"
    busybox stat -c '%n: %F %a %u:%g %t,%T' /dev/kvm
    busybox hostname
    busybox cat /proc/sys/kernel/domainname
    echo "env: $(busybox tr '\\0' ' ' < /proc/$$/environ)"
    ulimit -Sn; ulimit -Hn
    echo x 2>/dev/null > /bin/new || echo "/bin: read-only"
    echo x 2>/dev/null > /new || echo "/: read-only"
    busybox cat /proc/net/dev | busybox wc -l`;
  assert.deepEqual((await inMonitorRoot(script)).trim().split("\n"), [
    "/: . .. bin dev proc ",
    "/dev/kvm: character special file 600 65534:65534 a,e8",
    "guest",
    "domain",
    "env: ONLY=this ",
    "100",
    "200",
    "/bin: read-only",
    "/: read-only",
    "3",
  ]);
});

testIf("no descriptor above 2 survives the exec", { needs: ["root", "busybox"] }, async () => {
  const fds = (await inMonitorRoot("exec busybox ls -1 /proc/self/fd")).trim().split("\n");
  // 3 is what `ls` itself has opened: the lowest that is free.
  assert.deepEqual(fds, ["0", "1", "2", "3"]);
});

testIf("mounts have the attributes and the propagation they were given", {
  needs: ["root", "busybox"],
}, async () => {
  const mountInfo = (await inMonitorRoot("exec busybox cat /proc/self/mountinfo")).trim();
  const mounts = new Map(
    mountInfo.split("\n").map((line) => line.split(" ")).map((it) => [it[4] as string, it]),
  );
  assert.deepEqual([...mounts.keys()], ["/", "/bin", "/dev", "/proc"]);
  const flags = (path: string) => (mounts.get(path)?.[5] as string).split(",");
  for (const flag of ["ro", "nosuid", "nodev"]) assert.ok(flags("/bin").includes(flag), flag);
  assert.ok(!flags("/dev").includes("nodev"));
  assert.doesNotMatch(mountInfo, /shared:|master:/);
});

testIf("without privilege each call fails by its own name", { needs: ["root"] }, async () => {
  const codes = JSON.parse((await act("failUnprivileged")).stdout);
  const expected = Object.fromEntries(Object.keys(codes).map((name) => [name, "EPERM"]));
  assert.ok(Object.keys(codes).length >= 20);
  assert.deepEqual(codes, expected);
});

testIf("a mount namespace is entered only with a file system state of one's own", {
  needs: ["root"],
}, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("visit");
  const { stdout } = await act("visitMountNamespace", directory);
  const { before, wrongType, deviceThere, deviceHere } = JSON.parse(stdout);
  assert.equal(before, "EINVAL");
  assert.equal(wrongType, "EINVAL");
  assert.notDeepEqual(deviceThere, deviceHere);
  assert.deepEqual(deviceHere, linux.statPath(directory).dev);
});

testIf("a session keyring is new each time it is joined", { needs: ["root"] }, async () => {
  const { serials, reserved } = JSON.parse((await act("joinKeyring")).stdout);
  assert.ok(serials[0] > 0 && serials[1] > 0);
  assert.notEqual(serials[0], serials[1]);
  assert.equal(reserved, "EPERM");
});
