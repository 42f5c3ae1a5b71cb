import assert from "node:assert/strict";
import { execPortCounts } from "../../../lib/plan/agent.ts";
import { InvalidConfigurationError, UnsupportedError } from "../../../lib/errors.ts";
import { guestOf } from "../../../lib/guest/families/registry.ts";
import { processFile } from "../../../lib/guest/initrd/process.ts";
import type { HostFacts } from "../../../lib/inspect/types.ts";
import type { UnikernelConfig } from "../../../lib/guest/types.ts";
import { monitorByName } from "../../../lib/monitor/registry.ts";
import { planLaunch } from "../../../lib/plan/launch.ts";
import { agentOf, type LaunchInput } from "../../../lib/plan/launch_input.ts";
import { guestMounts } from "../../../lib/plan/guest_mounts.ts";
import { planNamespaces } from "../../../lib/plan/namespaces.ts";
import type { Step } from "../../../lib/plan/types.ts";
import {
  factsOf,
  kernelFormatFor,
  launchInputOf,
  NETWORK,
  specOf,
} from "../../support/plan_inputs.ts";

const UNIKERNEL: UnikernelConfig = {
  unikernelType: "linux",
  hypervisor: "qemu",
  binary: "/boot/vmlinuz",
  initrd: "/boot/initrd",
  accelerator: "tcg",
  agent: "on",
};
const FILE = { size: 1_000_000, uid: 0, gid: 0, mode: 0o644 };
const INITRD = { path: "/boot/initrd", ...FILE, isInitramfs: true };

function inputOf(changes: Partial<LaunchInput> = {}): LaunchInput {
  return launchInputOf({
    unikernel: UNIKERNEL,
    guest: guestOf("linux"),
    facts: factsOf({ kernel: { path: "/boot/vmlinuz", ...FILE }, initrd: INITRD }),
    ...changes,
  });
}

function stepOf<T extends Step["step"]>(input: LaunchInput, name: T): Extract<Step, { step: T }> {
  return planLaunch(input).plan.steps.find(({ step }) => step === name) as Extract<
    Step,
    { step: T }
  >;
}

Deno.test("the agent runs the program as config.json says, whatever the monitor's user", () => {
  const user = { uid: 0, gid: 0, additionalGids: [7, 3, 7], umask: 0o27 };
  const input = inputOf({
    spec: specOf({
      linux: {
        namespaces: ["pid", "network", "ipc", "uts", "mount"].map((type) => ({ type })),
        sysctl: { "net.ipv4.ip_forward": "1" },
      },
      process: {
        user: { uid: 65534, gid: 65534 },
        args: ["program"],
        env: ["A=1"],
        cwd: "/srv",
        noNewPrivileges: true,
        rlimits: [{ type: "RLIMIT_NOFILE", soft: 5, hard: 6 }],
        capabilities: {
          ...{ bounding: ["CAP_CHOWN", "CAP_KILL"], permitted: ["CAP_KILL"] },
          // The kernel raises none that is not inheritable, too.
          ...{ inheritable: ["CAP_CHOWN"], ambient: ["CAP_CHOWN", "CAP_KILL"] },
        },
      },
    }),
    guestUser: user,
  });
  // The monitor needs more open files than its guest's program may have.
  assert.equal(stepOf(input, "setRlimit").soft, "1024");
  assert.deepEqual(stepOf(input, "copyImageFile").prepend, {
    args: ["program"],
    env: ["A=1"],
    agent: {
      ...{ uid: 0, gid: 0, groups: [3, 7], umask: 0o27, cwd: "/srv", hostname: "guest" },
      rlimits: [{ type: "RLIMIT_NOFILE", soft: "5", hard: "6" }],
      capabilities: {
        ...{ bounding: "21", effective: "0", inheritable: "1", permitted: "20", ambient: "0" },
      },
      noNewPrivileges: true,
      sysctls: { "net.ipv4.ip_forward": "1" },
      mounts: guestMounts({ mounts: [] }),
      devices: [],
      maskedPaths: [],
      readonlyPaths: [],
      readOnlyRoot: false,
    },
  });
  assert.deepEqual(stepOf(input, "setUid"), { step: "setUid", uid: 65534 });
  assert.deepEqual(planLaunch(input).warnings, [], "process.cwd is passed on");
});

Deno.test("a guest's kernel has its pod's settings, and its container's own before them", () => {
  const namespaces = ["pid", "network", "ipc", "uts", "mount"].map((type) => ({ type }));
  const input = inputOf({
    spec: specOf({ linux: { namespaces, sysctl: { "kernel.msgmax": "9000" } } }),
  });
  const podSysctls = { "kernel.msgmax": "8000", "kernel.shm_rmid_forced": "1" };
  const { agent } = agentOf({ ...input, facts: { ...input.facts, podSysctls } });
  const sysctls = { "kernel.msgmax": "9000", "kernel.shm_rmid_forced": "1" };
  assert.deepEqual(agent!.sysctls, sysctls);
  // The pod's namespaces on the host have them from the sandbox.
  const { steps } = planNamespaces(input.spec);
  const keys = steps.flatMap((it) => it.step === "sysctl" ? [it.key] : []);
  assert.deepEqual(keys, ["kernel.msgmax"]);
});

Deno.test("the monitor has one end of each port, the container's process the other, and nothing else has", () => {
  const input = inputOf();
  const monitor = stepOf(input, "startMonitor");
  const waiter = stepOf(input, "exec");
  const numberOf = ({ fds }: typeof monitor | typeof waiter, name: string) =>
    fds.find((it) => it.name === name)!.fd;
  const ports = ["stdin", "stdout", "stderr", "control"];
  for (const port of ports) {
    const chardev = `socket,id=agent-${port},fd=${numberOf(monitor, `guest ${port}`)}`;
    assert.equal(monitor.argv.filter((word) => word === chardev).length, 1, chardev);
    const named = `chardev=agent-${port},name=urunc.${port}`;
    assert.ok(monitor.argv.some((word) => word.endsWith(named)));
  }
  const first = numberOf(waiter, "port stdin");
  assert.deepEqual(
    ports.map((port) => numberOf(waiter, `port ${port}`)),
    [0, 1, 2, 3].map((i) => first + i),
  );
  assert.ok(!monitor.fds.some(({ name }) => name.startsWith("port ")));
  assert.ok(!waiter.fds.some(({ name }) => name.startsWith("guest ")));
  assert.ok(waiter.argv.includes(`ports=${first}`));
  assert.ok(!waiter.argv.includes("terminal"));
  assert.ok(waiter.argv.includes(`console=${numberOf(waiter, "console")}`));
  assert.ok(!monitor.fds.some(({ name }) => name === "console"));
  const terminal = stepOf(inputOf({ terminal: { kind: "creator" } }), "exec");
  assert.ok(terminal.argv.includes("terminal"));
});

const ON_FIRECRACKER: Partial<LaunchInput> = {
  monitor: monitorByName("firecracker"),
  facts: factsOf({ initrd: INITRD, kernelFormat: kernelFormatFor("firecracker") }),
  unikernel: { ...UNIKERNEL, accelerator: "kvm" },
};

Deno.test("on Firecracker the guest connects to sockets of the container's process, and the monitor has none", () => {
  const input = inputOf(ON_FIRECRACKER);
  const monitor = stepOf(input, "startMonitor");
  const waiter = stepOf(input, "exec");
  assert.deepEqual(monitor.fds.map(({ name }) => name), ["monitorFilter"]);
  const { directory, sockets } = stepOf(input, "listenForAgent");
  assert.equal(directory, "/guest/vsock");
  // VSOCK_FIRST of protocol.h, and the places of the ports there; 1028 is the name server's.
  assert.deepEqual(sockets.map(({ file }) => file), [
    ...["v_1024", "v_1025", "v_1026", "v_1027", "v_1029"],
  ]);
  const numberOf = (name: string) => waiter.fds.find((it) => it.name === name)!.fd;
  const numbers = sockets.map(({ name }) => numberOf(name));
  const first = numbers[0]!;
  assert.deepEqual(numbers, [first, first + 1, first + 2, first + 3, numberOf("exec guests")]);
  assert.equal(numberOf("exec callers"), numberOf("exec guests") + 1);
  const words = [`ports=${first}`, "vsock", `exec=${numberOf("exec guests")}`];
  for (const word of words) assert.ok(waiter.argv.includes(word), word);
  const { steps } = planLaunch(input).plan;
  assert.ok(!steps.some(({ step }) => step === "connectAgent"));
  assert.equal(stepOf(input, "listenForExec").ports, "vsock");
  const file = steps.find((it) => it.step === "writeFile")!;
  assert.deepEqual(JSON.parse((file as { content: string }).content).vsock, {
    guest_cid: 3,
    uds_path: "/guest/vsock/v",
  });
  const process = processFile(stepOf(input, "copyImageFile").prepend!.agent!);
  assert.ok(new TextDecoder().decode(process).split("\0").includes("vsock"));
});

Deno.test("the monitor can write to the directory of those sockets, and has room for them only", () => {
  const tmpfs = planLaunch(inputOf(ON_FIRECRACKER)).plan.steps.filter((it) =>
    it.step === "mountTmpfs" && it.path === "/guest/vsock"
  );
  assert.deepEqual(tmpfs, [{
    ...{ step: "mountTmpfs", path: "/guest/vsock", sizeBytes: 4096, mode: 0o700, devices: false },
    ...{ uid: 65534, gid: 65534, files: 8 },
  }]);
  const without = inputOf({ ...ON_FIRECRACKER, unikernel: { ...UNIKERNEL, agent: "none" } });
  const { steps } =
    planLaunch({ ...without, unikernel: { ...without.unikernel, accelerator: "kvm" } })
      .plan;
  assert.ok(!JSON.stringify(steps).includes("vsock"));
});

Deno.test("on Firecracker, too, a name server on the namespace's loopback is asked", () => {
  const { facts } = inputOf(ON_FIRECRACKER);
  const input = inputOf({
    ...ON_FIRECRACKER,
    facts: { ...facts, resolvConf: "nameserver 127.0.0.11\n" },
    network: NETWORK,
  });
  const { sockets } = stepOf(input, "listenForAgent");
  assert.deepEqual(sockets[4], { name: "port dns", file: "v_1028" });
  assert.ok(stepOf(input, "exec").argv.some((word) => word.startsWith("dns=")));
});

Deno.test("a name server on the namespace's loopback is asked by the container's process", () => {
  const asking = (changes: Partial<LaunchInput>, resolvConf = "nameserver 127.0.0.11\n") =>
    inputOf({ facts: { ...inputOf().facts, resolvConf }, ...changes });
  const input = asking({ network: NETWORK });
  const monitor = stepOf(input, "startMonitor");
  const waiter = stepOf(input, "exec");
  const ends = [[monitor, "guest dns"], [waiter, "port dns"]] as const;
  const [theirs, ours] = ends.map(([{ fds }, name]) => fds.find((it) => it.name === name)!.fd);
  assert.ok(monitor.argv.includes(`socket,id=agent-dns,fd=${theirs}`));
  assert.ok(waiter.argv.includes(`dns=${ours}`));
  assert.deepEqual(stepOf(input, "confineToRoot"), { step: "confineToRoot", tcpPort: 53 });
  for (
    const without of [
      asking({}),
      asking({ network: NETWORK }, "nameserver 10.0.0.1\n"),
      asking({ network: NETWORK, unikernel: { ...UNIKERNEL, agent: "none" } }),
    ]
  ) {
    assert.ok(!stepOf(without, "exec").argv.some((word) => word.startsWith("dns=")));
    assert.deepEqual(stepOf(without, "confineToRoot"), { step: "confineToRoot" });
  }
});

Deno.test("signals are the program's, so nothing asks the guest: its control socket adds ports", () => {
  const { stop, plan } = planLaunch(inputOf());
  assert.deepEqual(stop, { agent: true });
  assert.ok(plan.steps.some(({ step }) => step === "listenForControl"));
});

const { agent: _, ...DEFAULT } = UNIKERNEL;

const CHOICES: [name: string, changes: Partial<LaunchInput>, agent: boolean, why: RegExp][] = [
  ["any program", { unikernel: DEFAULT }, true, /every such guest/],
  ["one that is switched off", { unikernel: { ...DEFAULT, agent: "none" } }, false, /wants none/],
  [
    "the RAM disk's init",
    { spec: specWith("/init"), unikernel: DEFAULT },
    false,
    /\/init is an init/,
  ],
  ["its init, on demand", { spec: specWith("/init") }, true, /asks for it/],
  [
    "a system",
    { spec: specWith("/sbin/init"), unikernel: DEFAULT },
    false,
    /\/sbin\/init is an init/,
  ],
  ["no program", { spec: specWith(), unikernel: DEFAULT }, false, /\/init is an init/],
  [
    "the image's own",
    { spec: specWith(), unikernel: { ...DEFAULT, cmdline: "/bin/app" } },
    true,
    /every/,
  ],
  ["a power button", { unikernel: { ...DEFAULT, stop: "button" } }, false, /power button/],
  [
    "Firecracker",
    {
      monitor: monitorByName("firecracker"),
      facts: factsOf({ initrd: INITRD, kernelFormat: kernelFormatFor("firecracker") }),
      unikernel: { ...DEFAULT, accelerator: "kvm" },
    },
    true,
    /every/,
  ],
  ["the command line", { unikernel: { ...DEFAULT, environment: "cmdline" } }, false, /"cmdline"/],
  ["no RAM disk", { unikernel: DEFAULT, facts: factsOf() }, false, /neither an initial RAM disk/],
];

function specWith(...args: string[]) {
  return specOf({ process: { user: { uid: 65534, gid: 65534 }, args, cwd: "/" } });
}

for (const [name, changes, agent, why] of CHOICES) {
  Deno.test(`a Linux guest with ${name} has ${agent ? "an" : "no"} agent, and a log says why`, () => {
    const input = inputOf({ spec: specWith("/bin/app"), ...changes });
    assert.equal(planLaunch(input).stop.agent, agent || undefined);
    const choice = agentOf(input);
    assert.equal(choice.agent !== undefined, agent);
    assert.match(choice.why, why);
    const { warnings } = planLaunch(input);
    assert.equal(
      warnings.some((it) => /no agent.*unikernel\.agent/.test(it)),
      /init is/.test(choice.why),
    );
  });
}

/** A disk image of the image. */
const DISK = {
  name: "block",
  source: { kind: "imageFile" as const, file: { path: "/disk", ...FILE } },
  readOnly: true,
  mountPoint: "/",
};

Deno.test("a disk that is the root has an agent, for which an image needs no RAM disk", () => {
  const facts = factsOf({ disks: [{ ...DISK, name: "data", mountPoint: undefined }, DISK] });
  const input = inputOf({ unikernel: DEFAULT, spec: specWith("/init"), facts });
  const { target, prepend } = stepOf(input, "makeInitrd");
  assert.deepEqual([target, prepend.root], ["/guest/initrd", { disk: "vdb", readOnly: true }]);
  const { argv } = stepOf(input, "startMonitor");
  assert.equal(argv[argv.indexOf("-initrd") + 1], "/guest/initrd");
  const file = new TextDecoder().decode(processFile(prepend.agent!, prepend.root));
  assert.ok(file.split("\0").includes("root=vdb:ro"));
  const system = planLaunch({ ...input, spec: specWith() });
  assert.match(system.warnings.join(), /its program, \/sbin\/init, is an init of its own/);
  assert.ok(!system.plan.steps.some(({ step }) => step === "makeInitrd"));
});

const refused: [
  name: string,
  Partial<LaunchInput>,
  typeof UnsupportedError | typeof InvalidConfigurationError,
  RegExp,
][] = [
  [
    "another guest",
    { guest: guestOf("elf") },
    UnsupportedError,
    /none for elf guests on qemu.*linux on qemu or firecracker/,
  ],
  [
    "the command line",
    { unikernel: { ...UNIKERNEL, environment: "cmdline" } },
    InvalidConfigurationError,
    /agent.*environment is "cmdline"/,
  ],
  [
    "no initial RAM disk",
    { facts: factsOf() },
    InvalidConfigurationError,
    /agent.*neither an initial RAM disk/,
  ],
  [
    "one that is no archive",
    { facts: factsOf({ initrd: { ...INITRD, isInitramfs: false } }) },
    InvalidConfigurationError,
    /agent.*not an archive/,
  ],
];

for (const [name, changes, error, message] of refused) {
  Deno.test(`an agent is refused with ${name}`, () => {
    assert.throws(() => planLaunch(inputOf(changes)), (found: Error) => {
      assert.ok(found instanceof error, found.message);
      assert.match(found.message, message);
      return true;
    });
  });
}

const NODE_KERNEL = {
  name: "debian",
  sha256: "ab",
  modules: { path: "/kernels/debian/modules.cpio", ...FILE, size: 7_000_000 },
};

/** A guest with a kernel of the node. */
function nodeInput(changes: Partial<HostFacts> = {}, more: Partial<LaunchInput> = {}): LaunchInput {
  const { binary: _, agent: __, ...unikernel } = UNIKERNEL;
  return inputOf({
    unikernel: { ...unikernel, kernel: "debian" },
    facts: factsOf({
      kernel: { path: "/kernels/debian/kernel", ...FILE },
      nodeKernel: NODE_KERNEL,
      initrd: INITRD,
      ...changes,
    }),
    ...more,
  });
}

Deno.test("a kernel of the node is bound, and its modules are between the agent and the image", () => {
  const input = nodeInput();
  const { path, size } = NODE_KERNEL.modules;
  const { prepend, ...rest } = stepOf(input, "makeInitrd");
  assert.ok(prepend.agent !== undefined);
  assert.deepEqual(rest, {
    step: "makeInitrd",
    target: "/guest/initrd",
    uid: 65534,
    gid: 65534,
    modules: { path, maximumBytes: size },
    image: { path: INITRD.path, maximumBytes: INITRD.size },
  });
  const { steps } = planLaunch(input).plan;
  assert.ok(steps.some((it) => it.step === "bindHost" && it.target === "/guest/kernel"));
  assert.ok(!steps.some(({ step }) => step === "copyImageFile" || step === "bindImageFile"));
  const root = stepOf(input, "mountRoot").sizeBytes;
  const less = stepOf(
    nodeInput({ nodeKernel: { ...NODE_KERNEL, modules: undefined } }),
    "mountRoot",
  );
  assert.equal(root - less.sizeBytes, size);
});

Deno.test("our init loads the drivers of a node's kernel where there is no agent, too", () => {
  const unikernel = { ...nodeInput().unikernel, agent: "none" as const };
  const input = nodeInput({}, { unikernel });
  assert.equal(stepOf(input, "makeInitrd").prepend.agent, undefined);
  assert.equal(planLaunch(input).stop.agent, undefined);
});

Deno.test("a guest with a node's kernel that would find no drivers, or no files, is refused", () => {
  const withKeys = (keys: Partial<UnikernelConfig>) => ({
    unikernel: { ...nodeInput().unikernel, agent: "none" as const, ...keys },
  });
  const cases: [LaunchInput, RegExp][] = [
    [nodeInput({ initrd: undefined }), /give the guest its files: the image has neither/],
    [nodeInput({ initrd: { ...INITRD, isInitramfs: false } }), /not an archive/],
    [nodeInput({}, withKeys({ environment: "cmdline" })), /environment is "cmdline"/],
  ];
  for (const [input, message] of cases) {
    assert.throws(() => planLaunch(input), { name: "UnsupportedError", message });
  }
});

Deno.test("a seccomp profile is the agent's; one whose listener is the host's is refused", () => {
  const planned = (seccomp: Record<string, unknown>) =>
    agentOf(inputOf({ spec: specOf({ linux: { seccomp } }) })).agent?.seccomp;
  const profile = { defaultAction: "SCMP_ACT_ALLOW", flags: ["SECCOMP_FILTER_FLAG_LOG"] };
  const { flags, program } = planned(profile)!;
  assert.equal(flags, 2);
  assert.ok(Uint8Array.fromBase64(program).length % 8 === 0);
  const notify = [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }];
  for (const changes of [{ listenerPath: "/run/listener" }, { syscalls: notify }]) {
    assert.throws(() => planned({ ...profile, ...changes }), {
      name: "UnsupportedError",
      message: /linux\.seccomp.*SCMP_ACT_NOTIFY/,
    });
  }
  const many = Array.from({ length: 2000 }, (_, value) => ({
    names: ["read"],
    action: "SCMP_ACT_LOG",
    args: [{ index: 0, value, op: "SCMP_CMP_EQ" }],
  }));
  assert.throws(() => planned({ ...profile, syscalls: many }), {
    name: "InvalidConfigurationError",
    message: /linux\.seccomp.*filter of \d+ instructions/,
  });
});

Deno.test("ports for further processes take a quarter of the guest's memory at most", () => {
  for (const [memoryMiB, most] of [[8, 2], [64, 4], [128, 8], [255, 15], [256, 16], [4096, 16]]) {
    assert.deepEqual(execPortCounts(memoryMiB!), { first: 2, most }, `${memoryMiB} MiB`);
  }
});
