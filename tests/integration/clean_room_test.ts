/** What the monitor finds around itself, as the test double reports it from inside. */
import assert from "node:assert/strict";
import { doubleBinary, type DoubleReport, extraFds } from "../support/double.ts";
import { readStatus } from "../support/process.ts";
import {
  type Container,
  type ContainerOptions,
  doubleContainer,
  inKeyring,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const needs = ["root", "gcc"];

/** ST_ flags, statfs(2). */
const ST_RDONLY = 1n;
const ST_NOSUID = 2n;
const ST_NODEV = 4n;
const ST_NOEXEC = 8n;

/** Indices of resource limits, include/uapi/asm-generic/resource.h. */
const RLIMIT_FSIZE = 1;
const RLIMIT_CORE = 4;
const RLIMIT_NOFILE = 7;
const RLIMIT_MEMLOCK = 8;

/** CAP_SYS_RESOURCE, bit 24 in include/uapi/linux/capability.h: containers' root often lacks it. */
const MAY_RAISE = ((readStatus(Deno.pid).capabilities.effective >> 24n) & 1n) === 1n;

async function reportOf(
  scope: Scope,
  options: Parameters<typeof doubleContainer>[2] = {},
  call: Parameters<Container["create"]>[0] = {},
): Promise<{ report: DoubleReport; container: Container; pid: number }> {
  const container = await doubleContainer(scope, "report; idle", options);
  const pid = await container.mustStart(call);
  return { report: await container.report(), container, pid };
}

function rlimit(report: DoubleReport, type: number): [bigint, bigint] {
  const { soft, hard } = report.rlimits[type]!;
  return [BigInt(`0x${soft}`), BigInt(`0x${hard}`)];
}

function test(name: string, options: ContainerOptions, check: (report: DoubleReport) => void) {
  testIf(`clean room: ${name}`, { needs }, async () => {
    await using scope = new Scope();
    check((await reportOf(scope, options)).report);
  });
}

test("what the runtime, Deno and the test had is not there", {}, (report) => {
  assert.deepEqual(report.env, []);
  assert.equal(report.cwd, "/");
  assert.deepEqual(extraFds(report), []);
  assert.equal(BigInt(`0x${report.signalsBlocked}`), 0n);
  assert.equal(BigInt(`0x${report.signalsIgnored}`), 0n);
  assert.equal(report.umask, 0o022);
  assert.equal(report.parentDeathSignal, 9);
  assert.deepEqual(rlimit(report, RLIMIT_NOFILE), [1024n, 4096n]);
});

testIf("clean room: it leaves no core, whatever the caller's limit is", { needs }, async () => {
  await using scope = new Scope();
  const wrapper = ["sh", "-c", 'ulimit -c unlimited; exec "$@"', "sh"];
  const { report } = await reportOf(scope, {}, { wrapper });
  assert.deepEqual(rlimit(report, RLIMIT_CORE), [0n, 0n]);
});

test("it is the child of process 1, leads a session, and has the container's name", {
  hostname: "a-name",
  edit: (config) => config.domainname = "a.domain",
}, (report) => {
  const { pid } = report;
  assert.deepEqual([report.ppid, report.sid, report.pgid], [1, pid, pid]);
  assert.equal(report.hostname, "a-name");
  assert.equal(report.domainname, "a.domain");
});

test("process.env, cwd and args are the guest's", {
  env: ["A=1", "LD_PRELOAD=/x"],
  edit: ({ process }) => process.cwd = "/some/where",
}, (report) => {
  assert.deepEqual(report.env, []);
  assert.equal(report.cwd, "/");
});

test("rlimits and umask are as asked", {
  user: { uid: 65534, gid: 65534, umask: 0o027 },
  edit: ({ process }) =>
    process.rlimits = [
      { type: "RLIMIT_NOFILE", soft: 100, hard: 200 },
      { type: "RLIMIT_CORE", soft: 0, hard: 0 },
      { type: "RLIMIT_MEMLOCK", soft: 65536, hard: 1 << 20 },
      { type: "RLIMIT_FSIZE", soft: 1000, hard: 2000 },
    ],
}, (report) => {
  assert.equal(report.umask, 0o027);
  assert.deepEqual(rlimit(report, RLIMIT_NOFILE), [100n, 200n]);
  assert.deepEqual(rlimit(report, RLIMIT_CORE), [0n, 0n]);
  assert.deepEqual(rlimit(report, RLIMIT_MEMLOCK), [65536n, 1n << 20n]);
  assert.deepEqual(rlimit(report, RLIMIT_FSIZE), [1000n, 2000n]);
});

testIf("clean room: rlimits above the caller's are raised, infinity is exact", {
  needs,
  skip: MAY_RAISE ? undefined : "root here lacks CAP_SYS_RESOURCE",
}, async () => {
  await using scope = new Scope();
  const { container } = await reportOf(scope);
  await container.delete("--force");
  // JSON.stringify cannot write the number that RLIM_INFINITY is.
  const path = `${container.bundle}/config.json`;
  const rlimits = '"rlimits":[{"type":"RLIMIT_CORE","soft":9,"hard":18446744073709551615}]';
  const text = (await Deno.readTextFile(path)).replace(/"cwd"/, `${rlimits},"cwd"`);
  await Deno.writeTextFile(path, text);
  Deno.removeSync(container.stdoutFile);
  await container.mustStart({ wrapper: ["sh", "-c", 'ulimit -c 5; exec "$@"', "sh"] });
  assert.deepEqual(rlimit(await container.report(), RLIMIT_CORE), [9n, 2n ** 64n - 1n]);
});

test("the root is read-only, nosuid, nodev, noexec; no /proc, /sys, /etc, /tmp", {}, (report) => {
  const flags = BigInt(`0x${report.rootFlags}`);
  for (const flag of [ST_RDONLY, ST_NOSUID, ST_NODEV, ST_NOEXEC]) assert.ok(flags & flag);
  const names = report.root.map(({ name }) => name).sort();
  const allowed = ["dev", "guest", "lib", "lib64", "usr", "var"];
  assert.deepEqual(names.filter((it) => !allowed.includes(it)), []);
  for (const { name, uid, mode, type } of report.root) {
    assert.equal(uid, 0, name);
    if (type === "directory") assert.equal(mode & 0o022, 0, name);
  }
});

test("no devices unless needed; /dev is read-only, noexec, nosuid", {}, (report) => {
  assert.deepEqual(report.dev, []);
  const flags = BigInt(`0x${report.devFlags}`);
  for (const flag of [ST_RDONLY, ST_NOSUID, ST_NOEXEC]) assert.ok(flags & flag);
});

testIf("clean room: /dev/kvm alone, the monitor's own, mode 0600, and it opens", {
  needs: [...needs, "kvm"],
}, async () => {
  for (const user of [{ uid: 65534, gid: 65534 }, { uid: 1000, gid: 1001 }, { uid: 0, gid: 0 }]) {
    await using scope = new Scope();
    const container = await doubleContainer(
      scope,
      "report; open /dev/kvm rw; write /dev/kvm2; idle",
      { user, configuration: "" },
    );
    await container.mustStart();
    const { dev } = await container.report();
    assert.deepEqual(dev, [
      { name: "kvm", type: "char", mode: 0o600, ...user, size: 0, major: 10, minor: 232 },
    ]);
    await container.waitForOutput('{"errno":0}');
  }
});

testIf("clean room: a device node of the host made by its numbers does not open", {
  needs: [...needs, "kvm"],
}, async () => {
  await using scope = new Scope();
  const { pid } = await reportOf(scope, { configuration: "" });
  const devices = Deno.readTextFileSync(`/proc/${pid}/cgroup`).split("\n")
    .find((it) => it.includes(":devices:"))?.split(":")[2];
  if (devices === undefined) return; // version 2 has a program in the kernel instead of a list
  assert.equal(
    Deno.readTextFileSync(`/sys/fs/cgroup/devices${devices}/devices.list`),
    "c 10:232 rw\n",
  );
});

testIf("clean room: the host's files are read-only, nodev and nosuid there", {
  needs,
}, async () => {
  await using scope = new Scope();
  const { pid } = await reportOf(scope);
  const mounts = Deno.readTextFileSync(`/proc/${pid}/mountinfo`).trim().split("\n")
    .map((line) => line.split(" ")).map((it) => ({ at: it[4]!, options: it[5]!.split(",") }));
  assert.ok(mounts.some(({ at }) => at === "/guest/kernel"));
  for (const { at, options } of mounts) {
    const wanted = ["ro", "nosuid", ...(at === "/dev" ? [] : ["nodev"])];
    for (const option of wanted) assert.ok(options.includes(option), `${at} is not ${option}`);
  }
  const allowed = [/^\/$/, /^\/dev$/, /^\/usr\//, /^\/lib/, /^\/guest\//];
  const binary = await doubleBinary();
  for (const { at } of mounts) {
    assert.ok(at === binary || allowed.some((it) => it.test(at)), `${at} is mounted`);
  }
});

testIf("clean room: oom_score_adj is as asked, otherwise the caller's", { needs }, async () => {
  const own = Deno.readTextFileSync("/proc/self/oom_score_adj").trim();
  const cases: [asked: number | undefined, is: string][] = [[300, "300"], [undefined, own]];
  if (MAY_RAISE) cases.push([-500, "-500"]);
  for (const [asked, is] of cases) {
    await using scope = new Scope();
    const { pid } = await reportOf(scope, {
      edit: ({ process }) => process.oomScoreAdj = asked,
    });
    assert.equal(Deno.readTextFileSync(`/proc/${pid}/oom_score_adj`).trim(), is);
  }
});

testIf("clean room: a session keyring of its own, unless the caller keeps its", {
  needs: [...needs, "perl"],
}, async () => {
  const name = `caller-${crypto.randomUUID().slice(0, 8)}`;
  const keyring = async (args: string[]) => {
    await using scope = new Scope();
    const { report } = await reportOf(scope, {}, { args, wrapper: inKeyring(name) });
    // keyring;UID;GID;PERMISSIONS;NAME
    return report.sessionKeyringDescription.split(";")[4];
  };
  // What the kernel calls one that has no name.
  assert.equal(await keyring([]), "_ses");
  assert.equal(await keyring(["--no-new-keyring"]), name);
});
