/** What the operator does not allow is refused before anything is made. */
import assert from "node:assert/strict";
import { readStatus, run } from "../support/process.ts";
import { assertFailed, assertNothingLeft, doubleContainer } from "../support/runtime.ts";
import type { ContainerOptions } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const needs = ["root", "gcc"];

/** Numbers of a block device that this machine has. */
function someDevice(): { major: number; minor: number } {
  const [first] = Deno.readDirSync("/sys/dev/block");
  const [major, minor] = first!.name.split(":").map(Number);
  return { major: major!, minor: minor! };
}

const cases: { name: string; policy: string; options: ContainerOptions; texts: string[] }[] = [
  {
    name: "a monitor",
    policy: 'monitors = ["spt"]',
    options: {},
    texts: [
      'check the operator\'s policy com.urunc.unikernel.hypervisor "qemu"',
      'allow.monitors has only "spt" in the configuration',
    ],
  },
  {
    name: "emulation",
    policy: 'accelerators = ["kvm"]',
    options: { unikernel: { accelerator: "tcg" } },
    texts: ['accelerator "tcg"', 'allow.accelerators has only "kvm" in the configuration'],
  },
  {
    name: "a key of the image",
    policy: 'annotations = ["unikernelType", "hypervisor", "binary"]',
    options: { unikernel: { cmdline: "secret" } },
    texts: ["com.urunc.unikernel.cmdline", "allow.annotations has only", "in the configuration"],
  },
  {
    name: "a key of the caller",
    policy: 'annotations = ["unikernelType", "hypervisor", "binary"]',
    options: { annotations: { "com.urunc.unikernel.stop": "button" } },
    texts: ["com.urunc.unikernel.stop", "allow.annotations has only", "in the configuration"],
  },
  {
    name: "a device of the host",
    policy: "host_devices = false",
    options: {
      edit: (config) => {
        const device = { path: "/dev/xvda", type: "b", ...someDevice() };
        config.linux = { ...config.linux as object, devices: [device] };
      },
    },
    texts: ["linux.devices /dev/xvda", "allow.host_devices is false in the configuration"],
  },
  {
    name: "a monitor of root",
    policy: "root_monitor = false",
    options: { user: { uid: 0, gid: 0 } },
    texts: ["process.user.uid 0", "allow.root_monitor is false in the configuration"],
  },
];

for (const { name, policy, options, texts } of cases) {
  testIf(`${name} that the operator does not allow is refused`, { needs }, async () => {
    await using scope = new Scope();
    const configuration = `accelerator = "tcg"\n[allow]\n${policy}`;
    const container = await doubleContainer(scope, "idle", { ...options, configuration });
    assertFailed(await container.create(), texts);
    assertNothingLeft(container);
  });
}

testIf("a volume that is a device of the host is refused where none is allowed", {
  needs: [...needs, "mknod"],
}, async () => {
  await using scope = new Scope();
  const source = `${await scope.temporaryDirectory("device")}/disk.img`;
  const { major, minor } = someDevice();
  await run(["mknod", source, "b", `${major}`, `${minor}`], { check: true });
  const container = await doubleContainer(scope, "idle", {
    configuration: 'accelerator = "tcg"\n[allow]\nhost_devices = false',
    edit: (config) => {
      const mount = { type: "bind", source, destination: "/dev/xvda", options: ["bind"] };
      config.mounts = [...config.mounts as object[] ?? [], mount];
    },
  });
  assertFailed(await container.create(), [source, "allow.host_devices is false"]);
  assertNothingLeft(container);
});

testIf("a container without a user gets the operator's, and none of root's groups", {
  needs,
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "report; idle", {
    configuration: 'accelerator = "tcg"\n[allow]\nroot_monitor = false\n[ids]\n' +
      'default_user = "64000:64001"',
    user: { uid: 0, gid: 0, additionalGids: [0, 6] },
  });
  const { uids, gids, groups } = readStatus(await container.mustStart());
  assert.deepEqual(uids, [64000, 64000, 64000, 64000]);
  assert.deepEqual(gids, [64001, 64001, 64001, 64001]);
  assert.deepEqual(groups, []);
});

testIf("a container that nothing describes as a guest is refused where only guests run", {
  needs,
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle", {
    configuration: 'accelerator = "tcg"\n[guests]\nundescribed = "refuse"',
  });
  await Deno.remove(`${container.rootfs}/urunc.json`);
  assertFailed(await container.create(), [
    "check the operator's policy the container: neither its annotations nor /urunc.json describe",
    'guests.undescribed is "refuse" in the configuration',
  ]);
  assertNothingLeft(container);
});

testIf("name servers in a file that the container's user may not read are refused", {
  needs,
}, async () => {
  await using scope = new Scope();
  const source = `${await scope.temporaryDirectory("resolv")}/resolv.conf`;
  await Deno.writeTextFile(source, "nameserver 10.0.0.1\n", { mode: 0o600 });
  const container = await doubleContainer(scope, "idle", {
    unikernelType: "linux",
    edit: (config) => {
      config.mounts = [{
        type: "bind",
        source,
        destination: "/etc/resolv.conf",
        options: ["bind"],
      }];
    },
  });
  assertFailed(await container.create(), [
    `read the container's name servers ${source}: it belongs to uid 0, group 0, with mode 0600`,
  ]);
  assertNothingLeft(container);
  await Deno.chmod(source, 0o644);
  await container.mustCreate();
});
