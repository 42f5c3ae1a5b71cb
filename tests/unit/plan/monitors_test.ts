/** What plans are for monitors other than QEMU. */
import assert from "node:assert/strict";
import { defaultConfiguration } from "../../../lib/config/parse.ts";
import { HostError, UnsupportedError } from "../../../lib/errors.ts";
import { monitorByName } from "../../../lib/monitor/registry.ts";
import { planLaunch } from "../../../lib/plan/launch.ts";
import type { LaunchInput } from "../../../lib/plan/launch_input.ts";
import { guestMemoryMiB, neededMemoryBytes } from "../../../lib/plan/memory.ts";
import type { Step } from "../../../lib/plan/types.ts";
import { guestOf } from "../../../lib/guest/families/registry.ts";
import { assertGolden } from "../../support/golden.ts";
import { factsOf, launchInputOf, NETWORK } from "../../support/plan_inputs.ts";

const MIB = 1024 * 1024;

function inputFor(name: string, changes: Partial<LaunchInput> = {}): LaunchInput {
  const monitor = monitorByName(name);
  const binary = `/usr/local/bin/${monitor.binaryNames[0]}`;
  return launchInputOf({
    monitor,
    unikernel: { unikernelType: "elf", hypervisor: name, binary: "/k", accelerator: "kvm" },
    facts: factsOf({ monitor: { binary, dataPaths: [] } }),
    ...changes,
  });
}

function stepsOf(name: string, changes: Partial<LaunchInput> = {}): Step[] {
  return planLaunch(inputFor(name, changes)).plan.steps;
}

function nodesOf(steps: Step[]): string[] {
  return steps.flatMap((step) => step.step === "mknod" ? [step.path] : []);
}

/** The guests of urunc's documentation. */
const documented: { name: string; input: () => LaunchInput }[] = [
  {
    name: "firecracker-unikraft-nginx",
    input: () => ({
      ...inputFor("firecracker", { network: NETWORK, guest: guestOf("unikraft") }),
      unikernel: {
        unikernelType: "unikraft",
        hypervisor: "firecracker",
        binary: "/unikernel/app-nginx_kraftcloud-x86_64",
        initrd: "/unikernel/initrd",
        unikernelVersion: "0.17.0",
        cmdline: "nginx -c /nginx/conf/nginx.conf",
        accelerator: "kvm",
      },
      facts: factsOf({
        monitor: { binary: "/usr/local/bin/firecracker", dataPaths: [] },
        initrd: { path: "/unikernel/initrd", size: 9000, uid: 0, gid: 0, mode: 0o644 },
        resolvConf: "nameserver 10.96.0.10\n",
      }),
      spec: { ...launchInputOf().spec, process: { ...launchInputOf().spec.process, args: [] } },
    }),
  },
  {
    name: "spt-mirage-net",
    input: () => ({
      ...inputFor("spt", { network: NETWORK, guest: guestOf("mirage") }),
      unikernel: {
        unikernelType: "mirage",
        hypervisor: "spt",
        binary: "/unikernel/network.spt",
        accelerator: "kvm",
      },
    }),
  },
];

for (const { name, input } of documented) {
  Deno.test(`the plan of a documented guest: ${name}`, () => {
    assertGolden(`plans/${name}`, planLaunch(input()));
  });
}

Deno.test("spt gets no /dev/kvm, the others no more than they need", () => {
  assert.deepEqual(nodesOf(stepsOf("spt")), []);
  assert.deepEqual(nodesOf(stepsOf("spt", { network: NETWORK })), ["/dev/net/tun"]);
  assert.deepEqual(nodesOf(stepsOf("hvt")), ["/dev/kvm"]);
  assert.deepEqual(nodesOf(stepsOf("firecracker", { network: NETWORK })), [
    "/dev/kvm",
    "/dev/net/tun",
  ]);
});

Deno.test("spt runs without KVM", () => {
  const facts = factsOf({ kvm: { usable: false }, monitor: { binary: "/spt", dataPaths: [] } });
  assert.ok(stepsOf("spt", { facts }).some(({ step }) => step === "exec"));
  assert.throws(() => stepsOf("hvt", { facts }), /plan device/);
});

Deno.test("only QEMU is asked to stop by a socket", () => {
  for (const name of ["qemu", "firecracker", "hvt", "spt"]) {
    const { plan, stop } = planLaunch(inputFor(name));
    assert.deepEqual(stop, {});
    assert.ok(!plan.steps.some(({ step }) => step === "listenForControl"));
  }
  const linux = { guest: guestOf("linux") };
  assert.deepEqual(planLaunch(inputFor("qemu", linux)).stop, { asking: "button" });
  assert.deepEqual(planLaunch(inputFor("firecracker", linux)).stop, {});
});

Deno.test("what a monitor cannot do is refused by the key's name", () => {
  const tcg = { ...inputFor("hvt").unikernel, accelerator: "tcg" as const };
  const configuration = { ...defaultConfiguration(), accelerator: "tcg" as const };
  const initrd = { path: "/i", size: 1, uid: 0, gid: 0, mode: 0o644 };
  const refusals: [name: string, changes: Partial<LaunchInput>, subject: string][] = [
    ["hvt", { unikernel: tcg }, "com.urunc.unikernel.accelerator"],
    ["firecracker", { unikernel: tcg }, "com.urunc.unikernel.accelerator"],
    ["spt", { unikernel: tcg }, "com.urunc.unikernel.accelerator"],
    ["hvt", { configuration }, 'accelerator = "tcg" in the configuration'],
    ["spt", { facts: factsOf({ initrd }) }, "com.urunc.unikernel.initrd"],
  ];
  for (const [name, changes, subject] of refusals) {
    assert.throws(() => stepsOf(name, changes), (error) => {
      assert.ok(error instanceof UnsupportedError, String(error));
      assert.equal(error.parts.subject, subject);
      return true;
    });
  }
  assert.ok(stepsOf("spt", { configuration }).length > 0);
});

Deno.test("memory is planned, or refused, whatever the numbers are", () => {
  const input = {
    monitor: monitorByName("qemu"),
    limit: { property: "memory.limit", bytes: 64 * MIB },
    defaultMemoryMiB: 256,
    vcpus: 1,
    networks: 0,
    accelerator: "kvm" as const,
    kernelBytes: 0,
    copiedBytes: 0,
    bootBytes: 0,
    agentBytes: 0,
    openFiles: 1024,
  };
  for (const key of ["vcpus", "kernelBytes", "copiedBytes", "bootBytes"] as const) {
    for (const value of [NaN, Infinity, 2 ** 63]) {
      assert.throws(() => guestMemoryMiB({ ...input, [key]: value }), HostError, `${key} ${value}`);
    }
  }
});

Deno.test("what a file server needs for each file that the guest knows is kept free", () => {
  const input = {
    monitor: monitorByName("qemu"),
    limit: undefined,
    defaultMemoryMiB: 1024,
    vcpus: 1,
    networks: 0,
    accelerator: "kvm" as const,
    kernelBytes: 0,
    copiedBytes: 0,
    bootBytes: 0,
    agentBytes: 0,
    openFiles: 1024,
  };
  const more = neededMemoryBytes({ ...input, sharesFiles: true }) - neededMemoryBytes(input);
  // Its own 12, page tables of 2, and 32768 files of 2 KiB.
  assert.equal(more, (12 + 2 + 64) * MIB);
});

const memoryCases: [monitor: string, limitMiB: number | undefined, guestMiB: number][] = [
  ["hvt", undefined, 256],
  // Without 8 MiB of its own there are 57, which is no whole number of its pages.
  ["hvt", 65, 56],
  ["hvt", 16384, 4096],
  ["hvt", 13, 4],
  ["spt", 64, 57],
  ["spt", 16384, 16313],
];

for (const [name, limit, expected] of memoryCases) {
  Deno.test(`${name} gives its guest ${expected} MiB of ${limit ?? "no limit"}`, () => {
    const monitor = monitorByName(name);
    const memoryMiB = guestMemoryMiB({
      monitor,
      limit: limit === undefined ? undefined : { property: "memory.limit", bytes: limit * MIB },
      defaultMemoryMiB: 256,
      vcpus: 1,
      networks: 0,
      accelerator: "kvm",
      kernelBytes: 0,
      copiedBytes: 0,
      bootBytes: 0,
      agentBytes: 0,
      openFiles: 1024,
    });
    assert.equal(memoryMiB, expected);
  });
}
