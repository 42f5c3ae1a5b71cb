/**
 * Every step that gives something up is needed: when init leaves one out, either create fails, or
 * the monitor reports what it got. So the tests that look at reports would notice, too.
 */
import assert from "node:assert/strict";
import type { DoubleReport } from "../support/double.ts";
import { FIRST_ID } from "../support/host_ids.ts";
import { heldMountNamespace } from "../support/mount_namespace.ts";
import { type CreateCall, doubleContainer, inKeyring } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { withoutBinary } from "../support/without.ts";

interface Case {
  step: string;
  user?: { uid: number; gid: number };
  /** The operator's; emulation by default. */
  configuration?: string;
  /** Of the configuration's table of the monitor. */
  monitor?: string;
  /** Put before the command. */
  wrapper?: string[] | ((scope: Scope) => Promise<string[]>);
  /** What create fails with: all of it. */
  fails?: RegExp | RegExp[];
  /** True when a report, or the waiter's mountinfo, shows that the step was done. */
  done?: (report: Report, mounts: string) => boolean;
}

/** What the monitor says of itself, and what is seen of the waiter. */
type Report = DoubleReport & { waiter: Waiter };

interface Waiter {
  /** As its PID namespace has it. */
  session: number;
  ignoredSignals: string;
  files: string[];
}

/** @see proc_pid_status(5); the last number of NSsid */
function waiterOf(pid: number): Waiter {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const fds = `/proc/${pid}/fd`;
  return {
    session: Number(/^NSsid:.*\s(\d+)$/m.exec(status)?.[1]),
    ignoredSignals: /^SigIgn:\s*(\S+)$/m.exec(status)![1]!,
    files: [...Deno.readDirSync(fds)].map(({ name }) => Deno.readLinkSync(`${fds}/${name}`)),
  };
}

/** SIGPIPE is 13: Deno itself ignores it, whatever the caller did. */
const SIGPIPE = 1n << 12n;
/** statfs(2) */
const ST_RDONLY = 1n;

const flags = (text: string | undefined) => BigInt(`0x${text}`);

const RANGE = `${FIRST_ID}-${FIRST_ID + 9}`;
const IN_USER_NAMESPACE = `accelerator = "tcg"\n[ids]\nmode = "userns"\nrange = "${RANGE}"`;

const CASES: Case[] = [
  {
    step: "setGroups",
    wrapper: ["setpriv", "--groups", "0,4,27,108"],
    fails: /prove the monitor's identity: waiter: supplementary groups is \[0,4,27,108\]/,
  },
  {
    step: "setGid",
    fails: /prove the monitor's identity: waiter: real gid is 0, planned was 65534/,
  },
  {
    step: "setUid",
    fails: /prove the monitor's identity: waiter: real uid is 0, planned was 65534/,
  },
  { step: "setCapabilities", fails: /\(enterMonitorNamespaces.*EPERM/ },
  {
    // Of what is not granted the exec leaves root nothing: the bounding set has none of it.
    step: "setCapabilities",
    user: { uid: 0, gid: 0 },
    monitor: 'capabilities = ["CAP_NET_ADMIN"]',
    fails: /identity: waiter: .*ambient capability set is 0+, planned was 0*1000/,
  },
  { step: "dropBoundingSet", fails: /identity: waiter: bounding capability set is 0*[1-9a-f]/ },
  // The kernel takes no filter from a process that could gain privileges.
  { step: "noNewPrivileges", fails: /\(filterCalls.*EACCES/ },
  {
    step: "noNewPrivileges",
    configuration: 'seccomp = "off"\naccelerator = "tcg"',
    fails: /identity: waiter: no_new_privs is 0, planned was 1/,
  },
  { step: "filterCalls", fails: /identity: waiter: seccomp mode is 0, planned was 2/ },
  { step: "openFilter", fails: /no step has opened monitorFilter/ },
  { step: "keepCapabilities", fails: /setCapabilities none kept=CAP_SYS_ADMIN\): capset.*EPERM/ },
  ...["makeUserNamespace", "inheritCapabilities"].map((step): Case => ({
    step,
    configuration: IN_USER_NAMESPACE,
    fails: {
      makeUserNamespace: /no step has opened user/,
      inheritCapabilities: /setCapabilities .* passed=CAP_SYS_ADMIN\): capset.*EPERM/,
    }[step]!,
  })),
  {
    step: "enterUserNamespace",
    configuration: IN_USER_NAMESPACE,
    fails: [
      /monitor: permitted capability set is 0*200000, planned was 0+;/,
      /monitor: user namespace is user:\[\d+\], planned was one of its own/,
      /monitor: user namespace is uid 0's, planned was uid 4294967294's/,
      /monitor: mapping of uids is \S+, planned was (\d+):\1:1;/,
      /monitor: mapping of gids is \S+, planned was (\d+):\1:1 /,
    ],
  },
  {
    step: "userMappings",
    configuration: IN_USER_NAMESPACE,
    fails:
      /monitor: mapping of uids is (\d+):\d+:1, planned was \1:\1:1; monitor: mapping of gids is/,
  },
  {
    step: "enterMonitorNamespaces",
    fails:
      /identity: monitor: net namespace is net:\[\d+\], planned was one of its own; .* is ipc:/,
  },
  {
    step: "leaveMonitorNamespaces",
    fails: /identity: waiter: net namespace is net:\[\d+\], planned was net:\[\d+\]; .* is ipc:/,
  },
  {
    // The monitor's are reset in any case (ffi/linux/spawn.ts); the waiter would read none that is ignored.
    step: "resetSignals",
    done: ({ waiter }) => (flags(waiter.ignoredSignals) & SIGPIPE) === 0n,
  },
  {
    step: "umask",
    wrapper: ["sh", "-c", 'umask 0; exec "$@"', "sh"],
    done: (report) => report.umask === 0o022,
  },
  // The monitor gets what it is to have and no more in any case.
  { step: "closeFds", done: ({ waiter }) => !waiter.files.includes("/etc/shadow") },
  {
    step: "newSessionKeyring",
    wrapper: inKeyring("urunc-test-caller"),
    done: (report) => !report.sessionKeyringDescription.endsWith(";urunc-test-caller"),
  },
  {
    step: "remountReadOnly",
    done: (report) => {
      return (flags(report.rootFlags) & flags(report.devFlags) & ST_RDONLY) === ST_RDONLY;
    },
  },
  {
    step: "privatePropagation",
    // As on a machine with systemd, where everything mounted is shared.
    wrapper: ["unshare", "--mount", "--propagation", "shared"],
    fails: /pivotRoot/,
  },
  {
    step: "privateMounts",
    // As on a machine with systemd; and the caller's namespace, which mounts come from, stays.
    wrapper: inSharedMounts,
    done: (_report, mounts) => !/ (master|shared):/.test(mounts),
  },
  { step: "pivotRoot", done: (report) => !report.root.some(({ name }) => name === "etc") },
  {
    step: "setRlimit",
    wrapper: ["sh", "-c", 'ulimit -S -n 2000; exec "$@"', "sh"],
    done: (report) => flags(report.rlimits[7]?.soft) === 1024n,
  },
  // The monitor has one of its own in any case.
  { step: "setsid", done: ({ waiter }) => waiter.session === 1 },
];

testIf("each step that gives something up is needed, and its lack is noticed", {
  needs: ["root", "gcc", "setpriv", "unshare", "perl"],
}, async () => {
  await using scope = new Scope();
  const binary = await withoutBinary(scope);
  for (const it of CASES) {
    const full = await create(binary, it, {});
    assert.equal(full.error, undefined, `with ${it.step}: ${full.error}`);
    if (it.done) {
      assert.ok(it.done(full.report!, full.mounts!), `${it.step} is done, and does not show`);
    }

    const { error, report, mounts } = await create(binary, it, { URUNC_WITHOUT: it.step });
    for (const fails of [it.fails ?? []].flat()) {
      assert.match(error ?? "it was created", fails, `${it.step}: ${error}`);
    }
    if (!it.fails) assert.ok(!it.done!(report!, mounts!), `the lack of ${it.step} is not noticed`);
  }
});

async function create(
  binary: string,
  { user, wrapper, configuration, monitor }: Case,
  env: CreateCall["env"],
): Promise<{ error?: string; report?: Report; mounts?: string }> {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "report; idle", {
    binary,
    user,
    configuration,
    monitor,
  });
  const words = typeof wrapper === "function" ? await wrapper(scope) : wrapper;
  const { code, stderr } = await container.create({ wrapper: words, env });
  if (code !== 0) return { error: stderr };
  const started = await container.start();
  if (started.code !== 0) return { error: started.stderr };
  const report = await container.report();
  const { pid } = await container.state();
  const mounts = Deno.readTextFileSync(`/proc/${pid}/mountinfo`);
  return { report: { ...report, waiter: waiterOf(pid!) }, mounts };
}

/** What enters a mount namespace whose mounts are shared, and which lasts as long as the scope. */
async function inSharedMounts(scope: Scope): Promise<string[]> {
  return ["nsenter", `--mount=/proc/${await heldMountNamespace(scope, "shared")}/ns/mnt`];
}
