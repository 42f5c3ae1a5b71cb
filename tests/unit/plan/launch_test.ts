import assert from "node:assert/strict";
import { defaultConfiguration } from "../../../lib/config/parse.ts";
import { HostError } from "../../../lib/errors.ts";
import type { NetworkFacts } from "../../../lib/network/types.ts";
import { planLaunch } from "../../../lib/plan/launch.ts";
import type { LaunchInput } from "../../../lib/plan/launch_input.ts";
import {
  planNamespaces,
  planPidNamespace,
  withJoinedHostname,
} from "../../../lib/plan/namespaces.ts";
import type { Step } from "../../../lib/plan/types.ts";
import { guestOf } from "../../../lib/guest/families/registry.ts";
import { factsOf, launchInputOf, NETWORK, specOf } from "../../support/plan_inputs.ts";

const MIB = 1024 * 1024;

function namesOf(steps: Step[]): string[] {
  return steps.map(({ step }) => step);
}

function find<Name extends Step["step"]>(
  steps: Step[],
  name: Name,
): Extract<Step, { step: Name }>[] {
  return steps.filter((it): it is Extract<Step, { step: Name }> => it.step === name);
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
  assert.deepEqual(find(steps, "deviceProgram"), [{
    step: "deviceProgram",
    cgroup: "/cg/x",
    allowed: [
      { type: "char", major: 10, minor: 232, access: "rw" },
    ],
  }]);
  assert.equal(place(steps, "deviceProgram"), place(planned(1), "deviceRule"));
  assert.deepEqual(find(steps, "deviceRule"), []);
});

Deno.test("the interface of a joined namespace is shared, that of an own one is taken over", () => {
  const linkSteps = (
    network: Record<string, string>,
    filter: "addresses" | "off" = "addresses",
  ) => {
    const spec = specOf({
      linux: { namespaces: [{ type: "mount" }, { type: "network", ...network }] },
    });
    const configuration = { ...defaultConfiguration(), network_filter: filter };
    return planLaunch(launchInputOf({ spec, configuration, network: NETWORK })).plan.steps
      .filter(({ step }) => ["redirect", "share", "filter"].includes(step));
  };
  const addresses = NETWORK.addresses.map(({ address }) => address);
  const link = { from: "tap0_urunc", to: NETWORK.name };
  const back = { step: "filter", ...link, mac: NETWORK.mac, addresses };
  const there = { from: NETWORK.name, to: "tap0_urunc" };
  assert.deepEqual(linkSteps({}), [{ step: "redirect", ...there }, back]);
  assert.deepEqual(linkSteps({ path: "/run/netns/x" }), [{ step: "share", ...there }, back]);
  assert.deepEqual(linkSteps({}, "off"), [
    { step: "redirect", ...there },
    { step: "redirect", ...link },
  ]);
});

Deno.test("Knative's guest has a subnet with its pod, whose interface is left alone", () => {
  const spec = specOf({
    annotations: { "io.kubernetes.cri.container-name": "user-container" },
    linux: { namespaces: [{ type: "mount" }, { type: "network", path: "/run/netns/x" }] },
  });
  const knative = (network: typeof NETWORK) =>
    planLaunch(launchInputOf({ spec, network, guest: guestOf("unikraft") })).plan.steps;
  const steps = knative(NETWORK);
  const names = namesOf(steps);
  assert.deepEqual(
    steps.slice(names.indexOf("linkUp"), names.indexOf("masquerade") + 1),
    [
      { step: "linkUp", name: "tap0_urunc" },
      { step: "giveAddress", name: "tap0_urunc", address: "172.16.1.1", prefixLength: 24 },
      { step: "forward", name: "tap0_urunc" },
      { step: "forward", name: NETWORK.name },
      { step: "masquerade", address: "172.16.1.1", prefixLength: 24, to: NETWORK.name },
    ],
  );
  assert.ok(!names.includes("share") && !names.includes("redirect"));
  assert.match(find(steps, "startMonitor")[0]!.argv.join(" "), /172\.16\.1\.2\/24:172\.16\.1\.1/);

  const inet6 = { family: "inet6", address: "fd00::2", prefixLength: 64 } as const;
  assert.throws(() => knative({ ...NETWORK, addresses: [inet6] }), /no IPv4 address/);
  const wide = { family: "inet", address: "172.20.0.9", prefixLength: 12 } as const;
  assert.throws(
    () => knative({ ...NETWORK, addresses: [inet6, wide] }),
    /172\.20\.0\.9\/12 overlaps/,
  );
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
  assert.equal(find(plan.steps, "setRlimit")[0]?.soft, "64");
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
      assert.deepEqual(find(plan.steps, "setGroups")[0]?.gids, groups);
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
  assert.deepEqual(find(plan.steps, "dropBoundingSet")[0]?.keep, []);
  assert.deepEqual(find(plan.steps, "setCapabilities"), [
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
  assert.deepEqual(find(plan.steps, "exec")[0]?.env, []);
});

Deno.test("/dev/kvm is there for KVM only, private, and never open to others", () => {
  const kvm = planLaunch(launchInputOf()).plan;
  assert.deepEqual(find(kvm.steps, "mknod"), [{
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
  assert.deepEqual(find(planLaunch(launchInputOf({ unikernel })).plan.steps, "mknod"), []);
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
    assert.deepEqual(find(steps, "bindDevice"), [{
      step: "bindDevice",
      source: "/dev/kvm",
      target: "/dev/kvm",
    }]);
    assert.deepEqual(find(steps, "mknod"), []);
  });
  await t.step("without the group create fails and says what would grant it", () => {
    assert.throws(() => planLaunch(withGroups([])), {
      name: "HostError",
      message: /104.*--group-add 104.*supplementalGroups/s,
    });
  });
});

Deno.test("guest memory", async (t) => {
  await t.step("boot files that are copied must fit, with a limit and without", () => {
    const kernel = { path: "/kernel", size: 2 ** 40, uid: 0, gid: 0, mode: 0o600 };
    for (const limit of [undefined, -1, 512 * MIB]) {
      const spec = specOf();
      spec.linux.resources.memory.limit = limit;
      const plan = (size: number) =>
        planLaunch(launchInputOf({ spec, facts: factsOf({ kernel: { ...kernel, size } }) }));
      assert.throws(() => plan(2 ** 30), HostError, `${limit}`);
      plan(MIB);
    }
  });
  const memoryOf = (limit: number | undefined) => {
    const spec = specOf();
    spec.linux.resources.memory.limit = limit;
    const { plan } = planLaunch(launchInputOf({ spec }));
    const argv = find(plan.steps, "startMonitor")[0]!.argv;
    const size = argv[argv.indexOf("-m") + 1]!;
    return Number(/(\d+)M/.exec(size)![1]);
  };
  await t.step("256 MiB without a limit", () => {
    assert.equal(memoryOf(undefined), 256);
    assert.equal(memoryOf(-1), 256);
  });
  for (const limit of [64, 128, 512, 4096]) {
    await t.step(`less than a limit of ${limit} MiB, and not less than a fifth of it`, () => {
      const memory = memoryOf(limit * MIB);
      assert.ok(memory < limit, `${memory} MiB`);
      assert.ok(memory >= limit / 5, `${memory} MiB`);
    });
  }
  await t.step("a limit that is too small is rejected with the size that is needed", () => {
    assert.throws(() => memoryOf(16 * MIB), (error) => {
      assert.ok(error instanceof HostError);
      const needed = Number(/at least (\d+) MiB\)/.exec(error.message)?.[1]);
      // What the message says is enough must be enough.
      assert.ok(memoryOf(needed * MIB) > 0, error.message);
      return true;
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
      assert.equal(find(steps, "copyImageFile").length, copied ? 1 : 0);
      assert.equal(find(steps, "bindImageFile").length, copied ? 0 : 1);
    });
  }
});

Deno.test("namespaces", async (t) => {
  const OWN = ["ipc", "uts", "network", "mount"];
  await t.step("the monitor has its own mount namespace even if the spec lists none", () => {
    const spec = specOf({ linux: { namespaces: [] } });
    assert.deepEqual(find(planNamespaces(spec).steps, "unshare")[0]?.namespaces, OWN);
  });
  await t.step("a named mount namespace is not entered: it may hold others' files", () => {
    const spec = specOf({ linux: { namespaces: [{ type: "mount", path: "/proc/1/ns/mnt" }] } });
    const { steps } = planNamespaces(spec);
    assert.deepEqual(find(steps, "setns"), []);
    assert.deepEqual(find(steps, "unshare")[0]?.namespaces, OWN);
  });
  await t.step("the hostname is set in a new namespace only", () => {
    const joined = specOf({ linux: { namespaces: [{ type: "uts", path: "/proc/1/ns/uts" }] } });
    assert.deepEqual(find(planNamespaces(joined).steps, "hostname"), []);
    assert.equal(find(planNamespaces(specOf()).steps, "hostname").length, 1);
  });
  await t.step("the name of a joined UTS namespace is the guest's", () => {
    const joined = (hostname: string) =>
      specOf({ hostname, linux: { namespaces: [{ type: "uts", path: "/proc/1/ns/uts" }] } });
    assert.equal(withJoinedHostname(joined(""), "pod-0").hostname, "pod-0");
    assert.equal(withJoinedHostname(joined("own"), "pod-0").hostname, "own");
    for (const name of ["(none)", "a:b", "", "x".repeat(65), undefined]) {
      assert.equal(withJoinedHostname(joined(""), name).hostname, undefined, name);
    }
    const fresh = specOf({ hostname: "" });
    assert.equal(withJoinedHostname(fresh, "of-the-host").hostname, undefined);
  });
  await t.step("the PID namespace is the creator's part", () => {
    assert.deepEqual(planPidNamespace(specOf()), { kind: "new" });
    assert.deepEqual(planPidNamespace(specOf({ linux: {} })), { kind: "new" });
    const path = "/proc/1/ns/pid";
    const joined = specOf({ linux: { namespaces: [{ type: "pid", path }] } });
    assert.deepEqual(planPidNamespace(joined), { kind: "join", path });
  });
});

Deno.test("a kernel that does not fit is refused with how much it needs", () => {
  const facts = factsOf({
    kernelFormat: { kind: "linuxImage", memoryEnd: 72 * MIB },
    initrd: { path: "/i", size: 3 * MIB, uid: 0, gid: 0, mode: 0o644, isInitramfs: true },
  });
  const memoryOf = (
    limit: number | undefined,
    default_memory_mib = 256,
    agent: "none" | "on" = "none",
  ) => {
    const spec = specOf();
    const unikernel = { ...launchInputOf().unikernel, agent };
    if (limit !== undefined) spec.linux.resources.memory.limit = limit * MIB;
    const configuration = { ...defaultConfiguration(), default_memory_mib };
    const guest = guestOf("linux");
    const { plan } = planLaunch(
      launchInputOf({ spec, facts, guest, configuration, unikernel }),
    );
    const argv = plan.steps.find((step) => step.step === "startMonitor")!.argv;
    return parseInt(argv[argv.indexOf("-m") + 1]!.replace("size=", ""));
  };
  assert.throws(() => memoryOf(100), (error: Error) => {
    assert.match(error.message, /the guest's kernel needs 75 MiB before it runs/);
    const needed = Number(/a memory limit of at least (\d+) MiB/.exec(error.message)?.[1]);
    assert.ok(needed > 100 && needed < 140, error.message);
    assert.ok(memoryOf(needed) >= 75);
    assert.throws(() => memoryOf(needed - 1), HostError);
    return true;
  });
  assert.throws(
    () => memoryOf(undefined, 64),
    /75 MiB.*gets 64 MiB \(set a memory limit, or default/,
  );
  assert.equal(memoryOf(undefined, 75), 75);
  assert.throws(
    () => memoryOf(120, 256, "on"),
    /needs 104 MiB.*, 29 of them for its agent's ports \(set a memory limit of at least 138 MiB, or com.urunc.unikernel.agent "none"/,
  );
  assert.equal(memoryOf(138, 256, "on"), 104);
});

Deno.test("a guest's memory fits into a limit given by cgroup v2's own keys", () => {
  const memoryOf = (resources: unknown) => {
    const spec = specOf({ linux: { namespaces: [{ type: "mount" }], resources } });
    const { plan, memoryBytes } = planLaunch(launchInputOf({ spec }));
    const argv = find(plan.steps, "startMonitor")[0]!.argv;
    return { guest: argv[argv.indexOf("-m") + 1], memoryBytes };
  };
  const limited = memoryOf({ memory: { limit: 128 * MIB } });
  assert.ok(limited.memoryBytes <= 128 * MIB && limited.guest !== memoryOf({}).guest);
  assert.deepEqual(memoryOf({ unified: { "memory.max": "128M" } }), limited);
  assert.deepEqual(memoryOf({ unified: { "memory.high": `${128 * MIB}` } }), limited);
  assert.throws(() => memoryOf({ unified: { "memory.max": "1M" } }), {
    name: "HostError",
    message: /linux.resources.unified\["memory.max"\]: the container's memory limit of 1048576/,
  });
});

/** Two networks of a container, of which the second has the default route. */
const NETWORKS: NetworkFacts = {
  ...NETWORK,
  name: "eth1",
  index: 9,
  further: [{
    name: "eth0",
    index: 7,
    mac: "02:42:ac:12:00:02",
    mtu: 1450,
    addresses: [
      { family: "inet", address: "172.18.0.2", prefixLength: 16 },
      { family: "inet6", address: "fd00:18::2", prefixLength: 64 },
    ],
    linkLocal: "fe80::42:acff:fe12:2",
    metric: { inet: 5 },
    gateway: { inet: "172.18.0.1" },
  }],
  others: [{ name: "wg0", reason: "it is not Ethernet" }],
};

/** A Linux guest in its RAM disk, which has an agent unless it says none. */
function linuxInput(changes: Partial<LaunchInput> = {}, agent?: "none"): LaunchInput {
  const size = 1_000_000;
  return launchInputOf({
    guest: guestOf("linux"),
    unikernel: {
      unikernelType: "linux",
      hypervisor: "qemu",
      binary: "/boot/vmlinuz",
      initrd: "/boot/initrd",
      accelerator: "tcg",
      agent,
    },
    facts: factsOf({
      initrd: { path: "/boot/initrd", size, uid: 0, gid: 0, mode: 0o644, isInitramfs: true },
    }),
    network: NETWORKS,
    ...changes,
  });
}

Deno.test("a guest with an agent has every interface of its container, each with a tap of its own", () => {
  const { plan, warnings, memoryBytes, usesNetwork } = planLaunch(linuxInput());
  const { steps } = plan;
  assert.equal(usesNetwork, true);
  assert.deepEqual(find(steps, "removeStaleTap").map(({ name }) => name), [
    "tap0_urunc",
    "tap1_urunc",
  ]);
  assert.deepEqual(find(steps, "createTap").map(({ name, mtu }) => [name, mtu]), [
    ["tap0_urunc", 1500],
    ["tap1_urunc", 1450],
  ]);
  assert.deepEqual(find(steps, "redirect"), [
    { step: "redirect", from: "eth1", to: "tap0_urunc" },
    { step: "redirect", from: "eth0", to: "tap1_urunc" },
  ]);
  // Each lets out what is its own, and nothing that is the other's.
  assert.deepEqual(find(steps, "filter"), [
    {
      ...{ step: "filter", from: "tap0_urunc", to: "eth1", mac: NETWORK.mac },
      addresses: ["172.17.0.2"],
    },
    {
      ...{ step: "filter", from: "tap1_urunc", to: "eth0", mac: "02:42:ac:12:00:02" },
      addresses: ["172.18.0.2", "fd00:18::2", "fe80::42:acff:fe12:2"],
    },
  ]);
  // By descriptors, of which the monitor's arguments speak in the order of the interfaces.
  const opened = find(steps, "attachTap");
  assert.deepEqual(opened.map(({ tap }) => tap), ["tap0_urunc", "tap1_urunc"]);
  const { argv, fds } = find(steps, "startMonitor")[0]!;
  const [first, second] = opened.map(({ name }) => fds.find((it) => it.name === name)!.fd);
  const given = argv.filter((it) => /^tap,|^virtio-net/.test(it));
  assert.deepEqual(given.map((it) => it.replace(",romfile=", "")), [
    `tap,id=net0,fd=${second}`,
    "virtio-net-pci,netdev=net0,mac=02:42:ac:12:00:02,host_mtu=1450",
    `tap,id=net1,fd=${first}`,
    `virtio-net-pci,netdev=net1,mac=${NETWORK.mac},host_mtu=1500`,
  ]);
  const { prepend } = find(steps, "copyImageFile").find((it) => it.prepend !== undefined)!;
  assert.deepEqual([prepend!.network!, ...prepend!.furtherNetworks!].map((it) => it.name), [
    "eth1",
    "eth0",
  ]);
  assert.deepEqual(prepend!.furtherNetworks![0]!.ipv4, {
    ...{ address: "172.18.0.2", prefixLength: 16, gateway: "172.18.0.1", metric: 5 },
  });
  assert.deepEqual(warnings, [
    "the guest has eth1, eth0 and no other interface; not connected: wg0 (it is not Ethernet)",
  ]);
  const one = planLaunch(linuxInput({ network: { ...NETWORKS, further: undefined } }));
  // With what is written of it in the RAM disk.
  assert.equal(Math.floor((memoryBytes - one.memoryBytes) / MIB), 1);
});

Deno.test("vhost-net is a descriptor for each interface, and its calls are allowed", () => {
  const vhostNet = {
    ...{ path: "/dev/vhost-net", type: "char", major: 10, minor: 238 } as const,
    ...{ uid: 0, gid: 108, mode: 0o660 },
  };
  const configuration = {
    ...linuxInput({}).configuration,
    monitors: { qemu: { capabilities: [], data_paths: [], vhost: true } },
  };
  const facts = { ...linuxInput({}).facts, vhostNet };
  const given = { network: NETWORKS, configuration };
  const { plan: { steps }, processes } = planLaunch(linuxInput({ ...given, facts }));
  const { argv, fds } = find(steps, "startMonitor")[0]!;
  const number = (name: string) => fds.find((it) => it.name === name)!.fd;
  assert.deepEqual(argv.filter((it) => it.startsWith("tap,")), [
    `tap,id=net0,fd=${number("tap 1")},vhost=on,vhostfd=${number("vhost 1")}`,
    `tap,id=net1,fd=${number("tap")},vhost=on,vhostfd=${number("vhost")}`,
  ]);
  const opened = find(steps, "openDevice").filter(({ minor }) => minor === 238);
  assert.deepEqual(opened.map(({ name, access }) => [name, access]), [["vhost", "rw"], [
    "vhost 1",
    "rw",
  ]]);
  const nodes = find(steps, "mknod").map(({ minor }) => minor);
  assert.ok(!nodes.includes(238), "no node of it");
  const { filter } = find(steps, "openFilter").find(({ name }) => name === "monitorFilter")!;
  assert.ok(filter.features.includes("vhost"));
  const without = planLaunch(linuxInput({ network: NETWORKS })).processes;
  assert.equal(processes.needed - without.needed, 2);
  assert.throws(
    () => planLaunch(linuxInput(given)),
    /no \/dev\/vhost-net on this machine \(load the kernel module: modprobe vhost_net;/,
  );
});

Deno.test("a limit must have room for what each interface takes of guest and monitor", () => {
  const neededMiB = (further: NetworkFacts["further"]) => {
    const linux = {
      namespaces: [{ type: "mount" }, { type: "network" }],
      resources: { memory: { limit: 8 * MIB } },
    };
    try {
      planLaunch(linuxInput({ spec: specOf({ linux }), network: { ...NETWORKS, further } }));
    } catch (error) {
      return Number(/limit of at least (\d+) MiB/.exec((error as HostError).message)?.[1]);
    }
  };
  const one = neededMiB(undefined)!;
  assert.ok(one > 8);
  const further = Array.from({ length: 4 }, () => NETWORKS.further![0]!);
  // 4 times 1 and 2.75 MiB; and what QEMU takes for a guest that is larger by that.
  assert.equal(neededMiB(further), one + 17);
});

Deno.test("in a pod a guest with an agent shares every interface", () => {
  const spec = specOf({
    linux: { namespaces: [{ type: "mount" }, { type: "network", path: "/run/netns/x" }] },
  });
  const { steps } = planLaunch(linuxInput({ spec })).plan;
  assert.deepEqual(find(steps, "share"), [
    { step: "share", from: "eth1", to: "tap0_urunc" },
    { step: "share", from: "eth0", to: "tap1_urunc" },
  ]);
  assert.deepEqual(find(steps, "redirect"), []);
});

const oneInterface: [what: string, input: LaunchInput][] = [
  ["without an agent", linuxInput({}, "none")],
  ["of another kind", launchInputOf({ network: NETWORKS })],
  [
    "of Knative's",
    linuxInput({
      spec: specOf({
        annotations: { "io.kubernetes.cri.container-name": "user-container" },
        linux: { namespaces: [{ type: "mount" }, { type: "network", path: "/run/netns/x" }] },
      }),
    }),
  ],
];
for (const [what, input] of oneInterface) {
  Deno.test(`a guest ${what} has the first interface, and a warning names the others`, () => {
    const { plan, warnings } = planLaunch(input);
    assert.deepEqual(find(plan.steps, "createTap").map(({ name }) => name), ["tap0_urunc"]);
    assert.equal(find(plan.steps, "attachTap").length, 1);
    assert.deepEqual(warnings.filter((it) => it.includes("interface")), [
      "the guest has eth1 and no other interface; not connected: eth0, wg0",
    ]);
  });
}

Deno.test("where no interface is the first, an agent has all, and another guest none", () => {
  const network: NetworkFacts = { ...NETWORKS, others: undefined, isAmbiguous: true };
  const all = planLaunch(linuxInput({ network }));
  assert.equal(find(all.plan.steps, "createTap").length, 2);
  assert.deepEqual(all.warnings, []);
  const none = planLaunch(linuxInput({ network }, "none"));
  assert.deepEqual(find(none.plan.steps, "createTap"), []);
  assert.equal(none.usesNetwork, false);
  assert.match(none.warnings.join("\n"), /no interface of the container has the default route/);
});

Deno.test("taps of an earlier guest that had more go as well", () => {
  const owner = { pid: 7, startTime: "8" };
  const taps = [{ name: "tap0_urunc", owner }, { name: "tap2_urunc", owner }];
  const { steps } = planLaunch(launchInputOf({ network: { ...NETWORK, taps } })).plan;
  assert.deepEqual(find(steps, "removeStaleTap"), [
    { step: "removeStaleTap", name: "tap0_urunc", owner },
    { step: "removeStaleTap", name: "tap2_urunc", owner },
  ]);
});

Deno.test("redirections of an earlier guest go after its taps, whatever this one takes over", () => {
  const network = { ...NETWORK, redirected: ["eth0", "net1"] };
  const { steps } = planLaunch(launchInputOf({ network })).plan;
  assert.deepEqual(find(steps, "removeIngress").map(({ from }) => from), ["eth0", "net1"]);
  const names = steps.map(({ step }) => step);
  const [tap, ingress] = [names.lastIndexOf("removeStaleTap"), names.indexOf("removeIngress")];
  assert.ok(tap >= 0 && tap < ingress, "a guest that lives is found by its tap before");
  assert.ok(names.lastIndexOf("removeIngress") < names.indexOf("createTap"));
});
