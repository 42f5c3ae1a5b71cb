import assert from "node:assert/strict";
import { defaultConfiguration } from "../../../lib/config/parse.ts";
import type { Configuration } from "../../../lib/config/types.ts";
import { NotAllowedError } from "../../../lib/errors.ts";
import type { Spec, User } from "../../../lib/oci/types.ts";
import { specOf } from "../../support/plan_inputs.ts";
import { monitorByName } from "../../../lib/monitor/registry.ts";
import {
  planUsers,
  requireAllowedDevice,
  requireAllowedFileServer,
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

const users: [uid: number, root_monitor: boolean, changes: Partial<Configuration["ids"]>][] = [
  [0, true, {}],
  [65534, false, {}],
  [0, false, { default_user: "1000:1000" }],
  [0, false, { mode: "uid", range: "70000-70001" }],
];

for (const [uid, root_monitor, changes] of users) {
  Deno.test(`uid ${uid} is allowed: root_monitor ${root_monitor}, ${JSON.stringify(changes)}`, () => {
    const users = planUsers(specWith({ uid, gid: 0, additionalGids: [] }), ids(changes));
    requireAllowedUser(users, policy({ root_monitor }));
  });
}

Deno.test("uid 0 is refused where no monitor may be root, also by way of a user namespace", () => {
  for (const linux of [{}, userNamespace(0)]) {
    const users = planUsers(specWith(ROOT, linux), ids({}));
    refuses(() => requireAllowedUser(users, policy({ root_monitor: false })), [
      "process.user.uid 0",
      "allow.root_monitor is false in the configuration",
      "ids.default_user",
    ]);
  }
});

Deno.test("a file server of uid 0 is refused there, also where the monitor has a user of its own", () => {
  const mode = { mode: "uid" as const, range: "70000-70001" };
  const of = (uid: number, changes: Partial<Configuration["ids"]>) =>
    planUsers(specWith({ uid, gid: 0, additionalGids: [] }), ids({ ...mode, ...changes }));
  const none = policy({ root_monitor: false });
  refuses(() => requireAllowedFileServer(of(0, {}), undefined, none), [
    "process.user.uid 0",
    "the file server would run as root, and allow.root_monitor is false",
  ]);
  requireAllowedFileServer(of(0, {}), undefined, policy({ root_monitor: true }));
  requireAllowedFileServer(of(1, {}), undefined, none);
  requireAllowedFileServer(of(0, { default_user: "7:8" }), undefined, none);
});

Deno.test("a file server in whose user namespace one is root of the host counts as root", () => {
  const id = (containerID: number, hostID: number) => ({ containerID, hostID, size: 1 });
  const gids = [id(0, 5)];
  const others = { uids: [id(0, 5), id(1, 6)], gids };
  const root = { uids: [id(0, 5), id(1, 0)], gids };
  const users = planUsers(specWith(NOBODY), ids({}));
  const none = policy({ root_monitor: false });
  const replaced = { ...policy({ root_monitor: true }), ...ids({ default_user: "7:8" }) };
  for (
    const [it, reason] of [[none, "allow.root_monitor is false"], [
      replaced,
      "replaces root",
    ]] as const
  ) {
    requireAllowedFileServer(users, others, it);
    refuses(() => requireAllowedFileServer(users, root, it), [
      "config.json linux.uidMappings",
      reason,
      "map none to 0",
    ]);
  }
  requireAllowedFileServer(users, root, policy({ root_monitor: true }));
});

const ROOT = { uid: 0, gid: 5, additionalGids: [0, 6], umask: 0o27 };
const DEFAULT = { uid: 1000, gid: 1001, additionalGids: [], umask: 0o27 };
const NOBODY = { uid: 65534, gid: 65534, additionalGids: [108], umask: 0o27 };

function specWith(user: User, linux: object = {}): Spec {
  return specOf({ process: { user, args: ["x"], cwd: "/" }, linux });
}

/** Where the container's ids from 0 on are. */
function userNamespace(hostID: number): object {
  const mappings = [{ containerID: 0, hostID, size: 65536 }];
  return { namespaces: [{ type: "user" }], uidMappings: mappings, gidMappings: mappings };
}

Deno.test("ids.default_user replaces root and its groups, and nobody else", () => {
  const policy = ids({ default_user: "1000:1001" });
  assert.deepEqual(planUsers(specWith(ROOT), policy), {
    guest: ROOT,
    files: DEFAULT,
    monitor: DEFAULT,
  });
  assert.deepEqual(planUsers(specWith(NOBODY), policy), {
    guest: NOBODY,
    files: NOBODY,
    monitor: NOBODY,
  });
  assert.deepEqual(planUsers(specWith(ROOT), ids({})), { guest: ROOT, files: ROOT, monitor: ROOT });
});

Deno.test("with ids.mode uid the monitor is another user, without groups, and nothing else is", () => {
  const own = (id: number) => ({ uid: id, gid: id, additionalGids: [], umask: 0o27 });
  const policy = ids({ mode: "uid", range: "70000-70001" });
  assert.deepEqual(planUsers(specWith(NOBODY), policy, 70001), {
    guest: NOBODY,
    files: NOBODY,
    monitor: own(70001),
  });
  // Only a plan.
  assert.deepEqual(planUsers(specWith(NOBODY), policy).monitor, own(70000));
  const both = ids({ ...policy.ids, default_user: "1000:1001" });
  assert.deepEqual(planUsers(specWith(ROOT), both, 70001), {
    guest: ROOT,
    files: DEFAULT,
    monitor: own(70001),
  });
});

Deno.test("in a user namespace the monitor is whom the mappings make of the container's user", () => {
  const mapped = { uid: 100000, gid: 100005, additionalGids: [100000, 100006], umask: 0o27 };
  const spec = specWith(ROOT, userNamespace(100000));
  // It is not root, so it stays.
  for (const policy of [ids({}), ids({ default_user: "1000:1001" })]) {
    assert.deepEqual(planUsers(spec, policy), { guest: ROOT, files: mapped, monitor: mapped });
  }
  const { files, monitor } = planUsers(spec, ids({ mode: "uid", range: "70000-70001" }), 70001);
  assert.deepEqual(files, mapped);
  assert.deepEqual([monitor.uid, monitor.gid, monitor.additionalGids], [70001, 70001, []]);
});
