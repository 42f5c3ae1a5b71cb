import assert from "node:assert/strict";
import { defaultConfiguration } from "../../../lib/config/parse.ts";
import { planLaunch } from "../../../lib/plan/launch.ts";
import type { Step } from "../../../lib/plan/types.ts";
import { factsOf, launchInputOf, NETWORK, specOf, stepsNamed } from "../../support/plan_inputs.ts";

function namesOf(steps: Step[]): string[] {
  return steps.map(({ step }) => step);
}

Deno.test("security depends on this order, whatever else is in the plan", () => {
  const configuration = defaultConfiguration();
  configuration.monitors.qemu = { capabilities: ["CAP_NET_ADMIN"], data_paths: [] };
  const { plan } = planLaunch(launchInputOf({
    configuration,
    network: NETWORK,
    deviceCgroup: { version: 1, directory: "/sys/fs/cgroup/devices/x" },
  }));
  const order: Step["step"][] = [
    "listenForStart",
    "createTap",
    "mountRoot",
    "mknod",
    "deviceRule",
    "holdNamespaces",
    "pivotRoot",
    "privateMounts",
    "remountReadOnly",
    "setRlimit",
    "dropBoundingSet",
    "keepCapabilities",
    "setGroups",
    "setGid",
    "setUid",
    "setCapabilities",
    "undumpable",
    "noNewPrivileges",
    "resetSignals",
    "umask",
    "newSessionKeyring",
    "closeFds",
    "enterMonitorNamespaces",
    "startMonitor",
    "leaveMonitorNamespaces",
    "filterCalls",
    "barrier",
    "exec",
  ];
  const steps = [...plan.steps];
  // The first keyring is made on root's quota: the monitor's user may have none left.
  const [keyring] = steps.splice(steps.findIndex(({ step }) => step === "dropBoundingSet") - 1, 1);
  assert.deepEqual(keyring, { step: "newSessionKeyring", tolerate: ["ENOSYS"] });
  // The second takes away what starting the monitor needed.
  const [last] = steps.splice(steps.findIndex(({ step }) => step === "filterCalls") - 1, 1);
  assert.deepEqual(last, { step: "setCapabilities", capabilities: ["CAP_NET_ADMIN"] });
  // As for the umask, only the last counts for the monitor.
  steps.splice(steps.findIndex(({ step }) => step === "umask"), 1);
  const names = namesOf(steps);
  // Each kind of step is there, and all of it comes before anything of the next kind.
  for (const [index, name] of order.entries()) {
    assert.ok(names.includes(name), `${name} is planned`);
    const next = order[index + 1];
    if (next !== undefined) {
      assert.ok(names.lastIndexOf(name) < names.indexOf(next), `${name} before ${next}`);
    }
  }
  assert.equal(names.at(-1), "exec", "nothing after the exec");
});

Deno.test("the device program takes the place of the device list", () => {
  const planned = (version: 1 | 2) =>
    planLaunch(launchInputOf({ network: NETWORK, deviceCgroup: { version, directory: "/cg/x" } }))
      .plan.steps;
  const place = (steps: Step[], name: Step["step"]) => steps.findIndex(({ step }) => step === name);
  const steps = planned(2);
  assert.deepEqual(stepsNamed(steps, "deviceProgram"), [{
    step: "deviceProgram",
    cgroup: "/cg/x",
    allowed: [
      { type: "char", major: 10, minor: 232, access: "rw" },
    ],
  }]);
  assert.equal(place(steps, "deviceProgram"), place(planned(1), "deviceRule"));
  assert.deepEqual(stepsNamed(steps, "deviceRule"), []);
});

Deno.test("a limit of open files that leaves the monitor no room is refused", () => {
  const specWith = (soft: number) =>
    specOf({
      process: {
        user: { uid: 1, gid: 2 },
        args: ["x"],
        cwd: "/",
        rlimits: [{ type: "RLIMIT_NOFILE", soft, hard: 4096 }],
      },
    });
  assert.throws(() => planLaunch(launchInputOf({ spec: specWith(10) })), {
    name: "InvalidConfigurationError",
    message: /rlimits\[0\] RLIMIT_NOFILE: 10 open files are too few .*--ulimit nofile=64/,
  });
  const { plan } = planLaunch(launchInputOf({ spec: specWith(64) }));
  assert.equal(stepsNamed(plan.steps, "setRlimit")[0]?.soft, "64");
});

Deno.test("additionalGids become the groups exactly", async (t) => {
  const rows: [number[] | undefined, number[]][] = [
    [undefined, []],
    [[], []],
    [[108], [108]],
    [[27, 4, 27], [4, 27]],
  ];
  for (const [additionalGids, groups] of rows) {
    await t.step(JSON.stringify(additionalGids) ?? "absent", () => {
      const spec = specOf({
        process: { user: { uid: 1, gid: 2, additionalGids }, args: ["x"], cwd: "/" },
      });
      const { plan, identity } = planLaunch(launchInputOf({ spec }));
      assert.deepEqual(stepsNamed(plan.steps, "setGroups")[0]?.gids, groups);
      assert.deepEqual(identity.groups, groups);
    });
  }
});

Deno.test("capabilities of the spec are not given, to uid 0 either", () => {
  const spec = specOf({
    process: {
      user: { uid: 0, gid: 0 },
      args: ["x"],
      cwd: "/",
      capabilities: { bounding: ["CAP_SYS_ADMIN"], permitted: ["CAP_SYS_ADMIN"] },
    },
  });
  const { plan, identity } = planLaunch(launchInputOf({ spec }));
  assert.deepEqual(stepsNamed(plan.steps, "dropBoundingSet")[0]?.keep, []);
  assert.deepEqual(stepsNamed(plan.steps, "setCapabilities"), [
    // Until the monitor's process is started in namespaces of its own.
    { step: "setCapabilities", capabilities: [], kept: ["CAP_SYS_ADMIN"] },
    { step: "setCapabilities", capabilities: [] },
  ]);
  assert.deepEqual(identity.capabilities, []);
});

Deno.test("the monitor's environment is empty, whatever the guest's is", () => {
  const spec = specOf({
    process: { user: { uid: 1, gid: 1 }, args: ["x"], env: ["LD_PRELOAD=/evil.so"], cwd: "/" },
  });
  const { plan } = planLaunch(launchInputOf({ spec }));
  assert.deepEqual(stepsNamed(plan.steps, "exec")[0]?.env, []);
});

Deno.test("/dev/kvm is there for KVM only, private, and never open to others", () => {
  const kvm = planLaunch(launchInputOf()).plan;
  assert.deepEqual(stepsNamed(kvm.steps, "mknod"), [{
    step: "mknod",
    path: "/dev/kvm",
    type: "char",
    major: 10,
    minor: 232,
    uid: 65534,
    gid: 65534,
    mode: 0o600,
  }]);
  const unikernel = { ...launchInputOf().unikernel, accelerator: "tcg" as const };
  assert.deepEqual(stepsNamed(planLaunch(launchInputOf({ unikernel })).plan.steps, "mknod"), []);
});

Deno.test("without a usable /dev/kvm nothing is planned, and emulation is not chosen silently", () => {
  const facts = factsOf({ kvm: { usable: false, reason: "the module kvm_intel is not loaded" } });
  assert.throws(() => planLaunch(launchInputOf({ facts })), {
    name: "HostError",
    message: /\/dev\/kvm.*kvm_intel is not loaded.*accelerator.*tcg/,
  });
});

Deno.test('device_access = "groups" lets the host\'s own check decide', async (t) => {
  const configuration = { ...defaultConfiguration(), device_access: "groups" as const };
  const withGroups = (additionalGids: number[]) =>
    launchInputOf({
      configuration,
      spec: specOf({
        process: { user: { uid: 65534, gid: 65534, additionalGids }, args: ["x"], cwd: "/" },
      }),
    });
  await t.step("with the group the host's node is bound", () => {
    const { steps } = planLaunch(withGroups([104])).plan;
    assert.deepEqual(stepsNamed(steps, "bindDevice"), [{
      step: "bindDevice",
      source: "/dev/kvm",
      target: "/dev/kvm",
    }]);
    assert.deepEqual(stepsNamed(steps, "mknod"), []);
  });
  await t.step("without the group create fails and says what would grant it", () => {
    assert.throws(() => planLaunch(withGroups([])), {
      name: "HostError",
      message: /104.*--group-add 104.*supplementalGroups/s,
    });
  });
});

Deno.test("a boot file that the monitor's user cannot read is copied, any other is bound", async (t) => {
  const rows: [string, { uid: number; gid: number; mode: number }, boolean][] = [
    ["readable by all", { uid: 0, gid: 0, mode: 0o644 }, false],
    ["root's alone", { uid: 0, gid: 0, mode: 0o600 }, true],
    ["its own", { uid: 65534, gid: 0, mode: 0o400 }, false],
    ["its own, but not readable by the owner", { uid: 65534, gid: 0, mode: 0o044 }, true],
    ["its group's", { uid: 0, gid: 65534, mode: 0o040 }, false],
    ["not its group's, though others may", { uid: 0, gid: 65534, mode: 0o604 }, true],
  ];
  for (const [name, owner, copied] of rows) {
    await t.step(name, () => {
      const facts = factsOf({ kernel: { path: "/k", size: 10, ...owner } });
      const { steps } = planLaunch(launchInputOf({ facts })).plan;
      assert.equal(stepsNamed(steps, "copyImageFile").length, copied ? 1 : 0);
      assert.equal(stepsNamed(steps, "bindImageFile").length, copied ? 0 : 1);
    });
  }
});
