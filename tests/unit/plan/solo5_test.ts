import assert from "node:assert/strict";
import { InvalidConfigurationError } from "../../../lib/errors.ts";
import { guestOf } from "../../../lib/guest/families/registry.ts";
import type { KernelFormat, Solo5Device } from "../../../lib/guest/kernel/types.ts";
import type { DiskFacts } from "../../../lib/inspect/types.ts";
import { monitorByName } from "../../../lib/monitor/registry.ts";
import { planLaunch } from "../../../lib/plan/launch.ts";
import type { LaunchInput } from "../../../lib/plan/launch_input.ts";
import { factsOf, kernelFormatFor, launchInputOf, NETWORK } from "../../support/plan_inputs.ts";

const net = (...names: string[]) => names.map((name): Solo5Device => ({ name, kind: "network" }));
const block = (...names: string[]) => names.map((name): Solo5Device => ({ name, kind: "block" }));

function disk(name: string): DiskFacts {
  const file = { path: `/${name}.img`, size: 512, uid: 65534, gid: 65534, mode: 0o600 };
  return { name, source: { kind: "imageFile", file }, readOnly: false };
}

function launch(
  devices: Solo5Device[],
  { disks = [], ...changes }: Partial<LaunchInput> & { disks?: DiskFacts[] } = {},
) {
  return planLaunch(launchInputOf({
    monitor: monitorByName("spt"),
    guest: guestOf("mirage"),
    unikernel: { unikernelType: "mirage", hypervisor: "spt", binary: "/k", accelerator: "kvm" },
    facts: factsOf({ kernelFormat: kernelFormatFor("spt", devices), disks }),
    ...changes,
  }));
}

function argumentsOf(...args: Parameters<typeof launch>): string {
  const exec = launch(...args).plan.steps.find((step) => step.step === "startMonitor")!;
  return exec.argv.slice(1).join(" ");
}

Deno.test("the manifest names the network device", () => {
  assert.match(argumentsOf(net("service0"), { network: NETWORK }), /--net:service0=tap0_urunc /);
});

Deno.test("a guest that declares no network device does without the container's network", () => {
  const { plan, usesNetwork, warnings } = launch([], { network: NETWORK });
  assert.equal(usesNetwork, false);
  assert.match(warnings.join(), /declares no network device/);
  assert.doesNotMatch(JSON.stringify(plan), /tap|ipv4|net\/tun/);
  assert.deepEqual(launch([]).warnings, []);
});

/** Solo5's virtio bindings have a manifest as well, on a monitor that starts guests without one. */
function launchOnQemu(devices: Solo5Device[], changes: Partial<LaunchInput> = {}) {
  const kernelFormat = { ...kernelFormatFor("qemu"), solo5: { target: "virtio", devices } };
  return launch(devices, {
    monitor: monitorByName("qemu"),
    facts: factsOf({ kernelFormat: kernelFormat as KernelFormat }),
    unikernel: { unikernelType: "mirage", hypervisor: "qemu", binary: "/k", accelerator: "kvm" },
    ...changes,
  });
}

Deno.test("on QEMU a guest has the devices of its manifest, too", () => {
  const { plan, usesNetwork } = launchOnQemu([], { network: NETWORK });
  assert.equal(usesNetwork, false);
  assert.doesNotMatch(JSON.stringify(plan), /tap|ipv4|virtio-net/);
  assert.match(
    JSON.stringify(launchOnQemu(net("service"), { network: NETWORK }).plan),
    /virtio-net/,
  );
  assert.throws(() => launchOnQemu(net("service")), {
    name: "InvalidConfigurationError",
    message: /declares the network device service, and the container has no network/,
  });
  assert.throws(() => launchOnQemu(block("storage")), {
    name: "InvalidConfigurationError",
    message: /declares these block devices: storage; the container has these disks: none/,
  });
});

Deno.test("a command line that a Solo5 guest would cut off is refused with its length", () => {
  const args = (length: number) => {
    const { spec } = launchInputOf();
    spec.process.args = ["app", "x".repeat(length)];
    return { spec };
  };
  for (const launchIt of [launch, launchOnQemu]) {
    assert.match(JSON.stringify(launchIt([], args(8191)).plan), /x{8191}/);
    assert.throws(() => launchIt([], args(8192)), {
      name: "InvalidConfigurationError",
      message: /the line is 8192 bytes long, and a Solo5 guest reads at most 8191/,
    });
  }
  const guest = { guest: guestOf("elf"), monitor: monitorByName("qemu") };
  const facts = factsOf({ kernelFormat: kernelFormatFor("qemu") });
  assert.match(JSON.stringify(launch([], { ...args(9000), ...guest, facts }).plan), /x{9000}/);
});

Deno.test("a MirageOS guest's memory has room for its runtime", () => {
  const memoryEnd = 2959 * 1024;
  const limited = (limitMiB: number) => {
    const { spec } = launchInputOf();
    spec.linux.resources.memory.limit = limitMiB * 1024 * 1024;
    const kernelFormat = { ...kernelFormatFor("spt"), memoryEnd } as KernelFormat;
    return () => argumentsOf([], { spec, facts: factsOf({ kernelFormat }) });
  };
  assert.throws(limited(10), /the guest's kernel needs 8 MiB.* a memory limit of at least 15 MiB/);
  assert.match(limited(15)(), /--mem=8 /);
  assert.throws(limited(14), /a memory limit of at least 15 MiB/);
});

Deno.test("disks are the block devices of their names, others in order", () => {
  const disks = [disk("block"), disk("logs"), disk("data")];
  const given = argumentsOf(block("data", "first", "second"), { disks });
  const names = [...given.matchAll(/--block:(\w+)=\/guest\/disk(\d)/g)].map((it) => [it[1], it[2]]);
  assert.deepEqual(names, [["first", "0"], ["second", "1"], ["data", "2"]]);
});

Deno.test("the keys name one of several block devices, and need not name any", () => {
  const unikernel = { ...launchInputOf().unikernel, unikernelType: "mirage", hypervisor: "spt" };
  const input = { ...unikernel, solo5BlkDev: "b" } as LaunchInput["unikernel"];
  const disks = [disk("block"), disk("other")];
  assert.match(
    argumentsOf(block("a", "b"), { disks, unikernel: input }),
    /--block:b=\/guest\/disk0 .*:a=/,
  );
});

const refused: [
  name: string,
  devices: Solo5Device[],
  Parameters<typeof launch>[1],
  says: RegExp,
][] = [
  [
    "a network that is missing",
    net("service"),
    {},
    /network device service, and the container has no/,
  ],
  [
    "two network devices",
    net("a", "b"),
    { network: NETWORK },
    /declares the network devices a, b, and a container has one/,
  ],
  [
    "a disk that is missing",
    block("storage"),
    {},
    /block devices: storage; the container has these disks: none .*mountRootfs/,
  ],
  [
    "a disk too many",
    [],
    { disks: [disk("data")] },
    /block devices: none; the container has these disks: data/,
  ],
  ["a device of another kind", [{ name: "x", kind: "unknown" }], {}, /an unknown kind: x/],
];

for (const [name, devices, changes, says] of refused) {
  Deno.test(`${name} is said before anything is made`, () => {
    assert.throws(() => launch(devices, changes), (error) => {
      assert.ok(error instanceof InvalidConfigurationError);
      assert.match(
        error.message,
        /^read the guest's manifest \/unikernel\/guest\.elf: its manifest/,
      );
      assert.match(error.message, says);
      return true;
    });
  });
}

Deno.test("a network that hooks may attach is not missing yet", () => {
  assert.ok(launch(net("service"), { networkComesLater: true }));
});

Deno.test("a key that names another device is refused by those that are declared", () => {
  for (const [key, says] of [["solo5NetDev", "service"], ["solo5BlkDev", "storage"]] as const) {
    const unikernel = { ...launchInputOf().unikernel, [key]: "nope" };
    const devices = [...net("service"), ...block("storage")];
    assert.throws(
      () => launch(devices, { unikernel, network: NETWORK, disks: [disk("a")] }),
      (error: Error) =>
        error.message.includes(`${key} nope: the manifest declares ${says} (leave the key out`),
    );
  }
});

Deno.test("a guest without a manifest that can be read is refused", () => {
  const kernelFormat = { ...kernelFormatFor("spt"), solo5: { target: "spt" } };
  assert.throws(
    () => launch([], { facts: factsOf({ kernelFormat } as never) }),
    /no Solo5 manifest/,
  );
});
