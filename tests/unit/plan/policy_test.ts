import assert from "node:assert/strict";
import { defaultConfiguration } from "../../../lib/config/parse.ts";
import type { Configuration } from "../../../lib/config/types.ts";
import { NotAllowedError } from "../../../lib/errors.ts";
import { monitorByName } from "../../../lib/monitor/registry.ts";
import {
  planUsers,
  requireAllowedDevice,
  requireAllowedKey,
  requireAllowedMonitor,
  requireAllowedUser,
} from "../../../lib/plan/policy.ts";

function policy(allow: Partial<Configuration["allow"]>): Configuration {
  const configuration = defaultConfiguration();
  return { ...configuration, allow: { ...configuration.allow, ...allow } };
}

function ids(changes: Partial<Configuration["ids"]>): Configuration {
  const configuration = defaultConfiguration();
  return { ...configuration, ids: { ...configuration.ids, ...changes } };
}

function refuses(check: () => void, texts: string[]): void {
  assert.throws(check, (error) => {
    assert.ok(error instanceof NotAllowedError, String(error));
    for (const text of texts) {
      assert.ok(error.message.includes(text), `${text} in ${error.message}`);
    }
    return true;
  });
}

const monitors: [
  name: string,
  accelerator: "kvm" | "tcg",
  allow: Partial<Configuration["allow"]>,
  refused?: string[],
][] = [
  ["qemu", "kvm", {}],
  ["qemu", "tcg", {}],
  ["spt", "kvm", {}],
  ["qemu", "kvm", { monitors: ["hvt", "qemu"], accelerators: ["kvm"] }],
  ["hvt", "kvm", { monitors: ["qemu"] }, [
    'com.urunc.unikernel.hypervisor "hvt"',
    'allow.monitors has only "qemu" in the configuration',
  ]],
  ["qemu", "kvm", { monitors: [] }, ["hypervisor", "allow.monitors has only an empty list"]],
  ["qemu", "tcg", { accelerators: ["kvm"] }, [
    'accelerator "tcg"',
    'allow.accelerators has only "kvm" in the configuration',
  ]],
  ["qemu", "kvm", { accelerators: ["tcg"] }, ['accelerator "kvm"', "allow.accelerators"]],
  // It needs no accelerator, whatever the node's default is.
  ["spt", "kvm", { accelerators: [] }],
];

for (const [name, accelerator, allow, refused] of monitors) {
  const verb = refused === undefined ? "allows" : "refuses";
  Deno.test(`${JSON.stringify(allow)} ${verb} ${name} with ${accelerator}`, () => {
    const check = () => requireAllowedMonitor(monitorByName(name), accelerator, policy(allow));
    if (refused === undefined) check();
    else refuses(check, refused);
  });
}

const keys: [key: string, annotations: string[], allowed: boolean][] = [
  ["cmdline", ["*"], true],
  ["cmdline", ["binary", "cmdline"], true],
  ["cmdline", ["cmd"], false],
  ["cmdline", [], false],
  ["block", ["bl*"], true],
  ["blkMntPoint", ["block*"], false],
];

for (const [key, annotations, allowed] of keys) {
  Deno.test(`${JSON.stringify(annotations)} ${allowed ? "allows" : "refuses"} ${key}`, () => {
    const check = () => requireAllowedKey(key, policy({ annotations }));
    if (allowed) check();
    else refuses(check, [`com.urunc.unikernel.${key}`, "allow.annotations"]);
  });
}

Deno.test("host devices are allowed unless allow.host_devices is false", () => {
  const subject = "mounts[3] /dev/vdb";
  requireAllowedDevice(subject, policy({}));
  refuses(() => requireAllowedDevice(subject, policy({ host_devices: false })), [
    subject,
    "allow.host_devices is false in the configuration",
  ]);
});

const users: [uid: number, root_monitor: boolean, default_user?: string][] = [
  [0, true],
  [65534, false],
  [0, false, "1000:1000"],
];

for (const [uid, root_monitor, default_user] of users) {
  Deno.test(`uid ${uid} is allowed: root_monitor ${root_monitor}, ${default_user}`, () => {
    const allow = policy({ root_monitor });
    requireAllowedUser({ uid }, { ...allow, ids: ids({ default_user }).ids });
  });
}

Deno.test("uid 0 is allowed where monitors have users of their own", () => {
  const { ids: own } = ids({ mode: "uid", range: "70000-70001" });
  requireAllowedUser({ uid: 0 }, { ...policy({ root_monitor: false }), ids: own });
});

Deno.test("uid 0 is refused where no monitor may be root", () => {
  refuses(() => requireAllowedUser({ uid: 0 }, policy({ root_monitor: false })), [
    "process.user.uid 0",
    "allow.root_monitor is false in the configuration",
    "ids.default_user",
  ]);
});

const ROOT = { uid: 0, gid: 5, additionalGids: [0, 6], umask: 0o27 };
const DEFAULT = { uid: 1000, gid: 1001, additionalGids: [], umask: 0o27 };
const NOBODY = { uid: 65534, gid: 65534, additionalGids: [108] };

Deno.test("ids.default_user replaces root and its groups, and nobody else", () => {
  const policy = ids({ default_user: "1000:1001" });
  assert.deepEqual(planUsers(ROOT, policy), { guest: ROOT, files: DEFAULT, monitor: DEFAULT });
  assert.deepEqual(planUsers(NOBODY, policy), { guest: NOBODY, files: NOBODY, monitor: NOBODY });
  assert.deepEqual(planUsers(ROOT, ids({})), { guest: ROOT, files: ROOT, monitor: ROOT });
});

Deno.test("with ids.mode uid the monitor is another user, without groups, and nothing else is", () => {
  const own = (id: number) => ({ uid: id, gid: id, additionalGids: [] });
  const policy = ids({ mode: "uid", range: "70000-70001" });
  assert.deepEqual(planUsers(NOBODY, policy, 70001), {
    guest: NOBODY,
    files: NOBODY,
    monitor: own(70001),
  });
  // Only a plan.
  assert.deepEqual(planUsers(NOBODY, policy).monitor, own(70000));
  const both = ids({ ...policy.ids, default_user: "1000:1001" });
  assert.deepEqual(planUsers(ROOT, both, 70001), {
    guest: ROOT,
    files: DEFAULT,
    monitor: { ...own(70001), umask: 0o27 },
  });
});
