/**
 * Who the monitor is and what it may do: read by an observer outside, before and after exec, and by
 * the monitor itself.
 */
import assert from "node:assert/strict";
import { type ProcessStatus, readStatus, waitFor } from "../support/process.ts";
import { assertSucceeded, Container, doubleContainer } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const needs = ["root", "gcc"];

/** What docker lists in every config.json. */
const DOCKER_CAPABILITIES = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FSETID",
  "CAP_FOWNER",
  "CAP_MKNOD",
  "CAP_NET_RAW",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETFCAP",
  "CAP_SETPCAP",
  "CAP_NET_BIND_SERVICE",
  "CAP_SYS_CHROOT",
  "CAP_KILL",
  "CAP_AUDIT_WRITE",
];
const NO_CAPABILITIES = 0n;
/** Bit 12, include/uapi/linux/capability.h. */
const CAP_NET_ADMIN = 1n << 12n;
const NET_ADMIN = 'capabilities = ["CAP_NET_ADMIN"]';

interface Case {
  user: { uid: number; gid: number; additionalGids?: number[] };
  /** What config.json lists in all sets. */
  listed?: string[];
  monitor?: string;
  capabilities?: bigint;
}

const CASES: Case[] = [
  { user: { uid: 65534, gid: 65534 } },
  { user: { uid: 65534, gid: 65534, additionalGids: [] } },
  { user: { uid: 65534, gid: 65534, additionalGids: [108] } },
  { user: { uid: 1000, gid: 1001, additionalGids: [27, 4] } },
  { user: { uid: 1000, gid: 1001, additionalGids: [4, 27, 4, 1001] } },
  { user: { uid: 4294967294, gid: 4294967294 } },
  { user: { uid: 0, gid: 0 } },
  { user: { uid: 0, gid: 0, additionalGids: [0] }, listed: DOCKER_CAPABILITIES },
  { user: { uid: 65534, gid: 65534 }, listed: DOCKER_CAPABILITIES },
  { user: { uid: 65534, gid: 65534 }, monitor: NET_ADMIN, capabilities: CAP_NET_ADMIN },
  { user: { uid: 0, gid: 0 }, monitor: NET_ADMIN, capabilities: CAP_NET_ADMIN },
  {
    user: { uid: 1000, gid: 1000 },
    listed: DOCKER_CAPABILITIES,
    monitor: NET_ADMIN,
    capabilities: CAP_NET_ADMIN,
  },
];

function assertIdentity(status: ProcessStatus, { user, capabilities = NO_CAPABILITIES }: Case) {
  const { uid, gid, additionalGids = [] } = user;
  assert.deepEqual(status.uids, [uid, uid, uid, uid]);
  assert.deepEqual(status.gids, [gid, gid, gid, gid]);
  assert.deepEqual(status.groups, [...new Set(additionalGids)].sort((a, b) => a - b));
  assert.deepEqual(status.capabilities, {
    inheritable: capabilities,
    permitted: capabilities,
    effective: capabilities,
    bounding: capabilities,
    ambient: capabilities,
  });
  assert.equal(status.noNewPrivs, 1);
}

/** The annotation's text, made of what the observer read. */
function annotationOf(status: ProcessStatus): string {
  const { inheritable, permitted, effective, bounding, ambient } = status.capabilities;
  const hex = (set: bigint) => set.toString(16).padStart(16, "0");
  return `Uid=${status.uids} Gid=${status.gids} Groups=${status.groups} ` +
    `CapInh=${hex(inheritable)} CapPrm=${hex(permitted)} CapEff=${hex(effective)} ` +
    `CapBnd=${hex(bounding)} CapAmb=${hex(ambient)} NoNewPrivs=${status.noNewPrivs} ` +
    `Seccomp=${status.seccomp} Seccomp_filters=${status.seccompFilters}`;
}

function title({ user, listed, monitor }: Case): string {
  const groups = user.additionalGids === undefined ? "" : ` + [${user.additionalGids}]`;
  return `${user.uid}:${user.gid}${groups}${listed ? ", docker's capabilities listed" : ""}` +
    (monitor ? ", one capability granted" : "");
}

for (const it of CASES) {
  testIf(`identity: ${title(it)}`, { needs }, async () => {
    await using scope = new Scope();
    const { user, listed, monitor } = it;
    const container = await doubleContainer(scope, "report; idle", {
      user,
      monitor,
      edit: ({ process }) => {
        if (listed === undefined) return;
        const sets = ["bounding", "effective", "inheritable", "permitted", "ambient"];
        process.capabilities = Object.fromEntries(sets.map((set) => [set, listed]));
      },
    });
    const pid = await container.mustCreate();
    assertIdentity(readStatus(pid), it);
    // Besides those that the tests themselves are in: init's, then the waiter's; and the monitor's.
    const inherited = readStatus(Deno.pid).seccompFilters;
    assert.equal(readStatus(pid).seccompFilters, inherited + 1);
    const waiting = await container.monitorPid();
    assertIdentity(readStatus(waiting), it);
    const created = await container.state();
    assert.equal(created.annotations?.["com.urunc.identity"], annotationOf(readStatus(waiting)));
    assert.equal(created.annotations?.["com.urunc.waiter.identity"], annotationOf(readStatus(pid)));

    assertSucceeded(await container.start(), "start");
    const report = await container.report();
    const monitorPid = await container.monitorPid();
    assert.equal(monitorPid, waiting);
    for (const [each, filters] of [[pid, 2], [monitorPid, 1]] as const) {
      assertIdentity(readStatus(each), it);
      assert.equal(readStatus(each).seccompFilters, inherited + filters);
    }
    const running = await container.state();
    assert.equal(running.annotations?.["com.urunc.identity"], annotationOf(readStatus(monitorPid)));
    assert.equal(running.annotations?.["com.urunc.waiter.identity"], annotationOf(readStatus(pid)));

    // Threads of the runtime had the old credentials: none of them is left.
    for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
      assertIdentity(readStatus(Number(name)), it);
    }
    assert.deepEqual(report.uids, [user.uid, user.uid, user.uid]);
    assert.equal(report.secureBits, 0);
    assert.equal(report.keepCapabilities, 0);
  });
}

for (const accelerator of ["kvm", "tcg"] as const) {
  testIf(`identity: a real guest's QEMU on ${accelerator}, all its threads`, {
    needs: ["root", "qemu-system-x86_64", ...(accelerator === "kvm" ? ["kvm"] : [])],
  }, async () => {
    await using scope = new Scope();
    const user = { uid: 65534, gid: 65534, additionalGids: [108] };
    const container = await Container.prepare(scope, { args: ["idle"], accelerator, user });
    const pid = await container.mustStart();
    await container.waitForOutput("idle");
    assert.equal(readStatus(pid).name, "urunc-waiter");
    assertIdentity(readStatus(pid), { user });
    const monitor = await container.monitorPid();
    assert.match(readStatus(monitor).name, /^qemu-system/);
    for (const { name } of Deno.readDirSync(`/proc/${monitor}/task`)) {
      assertIdentity(readStatus(Number(name)), { user });
      assert.equal(readStatus(Number(name)).seccomp, 2);
      const filters = readStatus(Number(name)).seccompFilters - readStatus(Deno.pid).seccompFilters;
      assert.ok(filters >= 2, "ours for QEMU, and QEMU's own");
    }
    const { annotations } = await container.state();
    assert.match(annotations?.["com.urunc.identity"] ?? "", /^Uid=65534,65534,65534,65534 /);
  });
}

testIf("the monitor cannot regain anything: its binary set-uid, its files root's", {
  needs,
}, async () => {
  await using scope = new Scope();
  const opens = ["/etc/shadow", "/proc/self/exe", "/proc/1/root", "/sys", "/dev/mem", "/dev/null"];
  const container = await doubleContainer(
    scope,
    `report ${opens.join(" ")}; write /x; write /dev/x; write /guest/kernel; write /guest/x; idle`,
  );
  await container.mustStart();
  const report = await container.report();
  const ENOENT = 2;
  for (const path of opens) assert.deepEqual(report.opens[path], { errno: ENOENT }, path);
  const answers = () => container.output().split("\n").filter((it) => /^\{"errno".*\}$/.test(it));
  await waitFor(() => answers().length === 4, { timeoutSeconds: 20, what: "four answers" });
  const EROFS = 30;
  const EACCES = 13;
  for (const line of answers()) assert.ok([EROFS, EACCES].includes(JSON.parse(line).errno), line);
});
