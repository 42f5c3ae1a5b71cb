/** What a log says of a plan, and that it says nothing secret. */
import assert from "node:assert/strict";
import { guestOf } from "../../../lib/guest/families/registry.ts";
import type { UnikernelType } from "../../../lib/guest/types.ts";
import { monitorByName } from "../../../lib/monitor/registry.ts";
import { formatLine } from "../../../lib/log.ts";
import { decisions, maskedArgv } from "../../../lib/plan/decisions.ts";
import { describeStep } from "../../../lib/plan/describe.ts";
import { planLaunch } from "../../../lib/plan/launch.ts";
import type { LaunchInput } from "../../../lib/plan/launch_input.ts";
import type { Step } from "../../../lib/plan/types.ts";
import { launchInputOf, NETWORK, specOf } from "../../support/plan_inputs.ts";

/** Quoted by every family in another way. */
const SECRETS = ["plain-secret", "with blank secret", 'quo"ted secret', "e=qual-secret"];

const FAMILIES: [UnikernelType, monitor: string][] = [
  ["linux", "qemu"],
  ["unikraft", "qemu"],
  ["unikraft", "firecracker"],
  ["rumprun", "hvt"],
];

function inputOf(
  type: UnikernelType,
  monitor: string,
  env: string[],
  changes: Partial<LaunchInput> = {},
): LaunchInput {
  const base = launchInputOf();
  const spec = specOf();
  return launchInputOf({
    guest: guestOf(type),
    monitor: monitorByName(monitor),
    unikernel: { ...base.unikernel, unikernelType: type, hypervisor: monitor },
    spec: { ...spec, process: { ...spec.process, env } },
    network: NETWORK,
    ...changes,
  });
}

function logOf(input: LaunchInput): string {
  const launch = planLaunch(input);
  const lines = decisions(input, launch).map(([message, fields]) =>
    formatLine("text", "debug", message, new Date(), fields)
  );
  return lines.join("") + launch.plan.steps.map(describeStep).join("\n");
}

for (const [type, monitor] of FAMILIES) {
  Deno.test(`the environment of a ${type} guest on ${monitor} is not in the log`, () => {
    let tried = 0;
    for (const secret of SECRETS) {
      const input = inputOf(type, monitor, ["NAME=visible", `TOKEN=${secret}`]);
      let plan: string;
      try {
        plan = JSON.stringify(planLaunch(input).plan);
      } catch {
        continue; // The family has no way to say it.
      }
      tried++;
      const log = logOf(input);
      // It is in the plan: otherwise this would say nothing.
      assert.ok(plan.includes("secret"), plan);
      assert.ok(!log.includes("secret") && !log.includes("visible"), log);
    }
    assert.ok(tried > 0);
  });
}

Deno.test("the guest's command line is in the log but for values", () => {
  const argv = maskedArgv(inputOf("linux", "qemu", ["TOKEN=secret", "EMPTY="]));
  const line = argv[argv.indexOf("-append") + 1]!;
  assert.match(line, /(^| )TOKEN=\*( |$)/);
  assert.match(line, /(^| )EMPTY=( |$)/);
});

const input = inputOf("linux", "qemu", []);
const { facts, configuration } = launchInputOf();

const DECIDED: [what: string, input: LaunchInput, line: RegExp][] = [
  ["guest", input, /^msg="guest linux" kernel=\/unikernel\/guest.elf bytes=4096$/m],
  ["monitor", input, /^msg="monitor qemu" path=\/usr\/bin\/qemu-system-x86_64$/m],
  ["KVM", input, /^msg="accelerator kvm: neither the image nor the configuration asks/m],
  [
    "emulation by the image",
    { ...input, unikernel: { ...input.unikernel, accelerator: "tcg" } },
    /^msg="accelerator tcg: the image asks for emulation"$/m,
  ],
  [
    "emulation by the operator",
    { ...input, configuration: { ...configuration, accelerator: "tcg" } },
    /^msg="accelerator tcg: the configuration asks for emulation"$/m,
  ],
  ["no accelerator", inputOf("mirage", "spt", []), /^msg="accelerator none: the monitor needs no/m],
  ["firmware", input, /^msg="firmware \/usr\/share\/qemu\/qboot.rom"$/m],
  [
    "no firmware",
    { ...input, facts: { ...facts, monitor: { ...facts.monitor, firmware: undefined } } },
    /^msg="firmware none/m,
  ],
  [
    "default memory",
    input,
    /^msg="memory 256 MiB: default_memory_mib, there is no limit" needed=/m,
  ],
  [
    "a memory limit",
    {
      ...input,
      spec: specOf({
        linux: { namespaces: [], resources: { memory: { limit: 512 * 2 ** 20 } } },
      }),
    },
    /^msg="memory \d+ MiB: what linux.resources.memory.limit leaves" limit=536870912 needed=/m,
  ],
  [
    "network",
    input,
    /^msg="network own: interface eth0" mac="02:42:ac:11:00:02" mtu=1500 addresses=172.17.0.2\/16$/m,
  ],
  ["no interface", { ...input, network: undefined }, /^msg="network none: its namespace has no/m],
  ["identity", input, /^msg="identity of the monitor" uid=65534 gid=65534 groups="" capab/m],
  ["stop", input, /^msg="stop by the guest's power button, else by signal 15"$/m],
  [
    "argv",
    input,
    /^msg="exec urunc-monitor fsize=.* -- \/usr\/bin\/qemu-system-x86_64 -machine q35,.* -kernel \/guest\/ker/m,
  ],
];

for (const [what, of, line] of DECIDED) {
  Deno.test(`the log says what was decided, and why: ${what}`, () => {
    const log = decisions(of, planLaunch(of)).map(([message, fields]) =>
      formatLine("text", "debug", message, new Date(), fields).replace(/^time=\S+ level=debug /, "")
    ).join("");
    assert.match(log, line);
  });
}

const STEPS: [Step, string][] = [
  [{ step: "undumpable" }, "undumpable"],
  [{ step: "oomScoreAdj", value: 100 }, "oomScoreAdj 100"],
  [
    { step: "sysctl", key: "net.ipv4.tcp_fastopen_key", value: "secret" },
    "sysctl net.ipv4.tcp_fastopen_key",
  ],
  [{ step: "unshare", namespaces: ["ipc", "mount"] }, "unshare ipc,mount"],
  [
    {
      step: "runHooks",
      name: "createContainer",
      hooks: [{ path: "/hook", args: ["secret"], env: ["A=secret"] }],
    },
    "runHooks createContainer",
  ],
  [
    {
      step: "mknod",
      path: "/dev/kvm",
      type: "char",
      major: 10,
      minor: 232,
      uid: 1,
      gid: 2,
      mode: 0o600,
    },
    "mknod char /dev/kvm uid=1 gid=2",
  ],
  [
    { step: "writeFile", path: "/f", uid: 1, gid: 1, content: "secret" },
    "writeFile /f uid=1 gid=1",
  ],
  [{ step: "sendTerminal", to: { kind: "socket", path: "/s" } }, "sendTerminal /s"],
  [{ step: "setGroups", gids: [] }, "setGroups none"],
  [
    { step: "setCapabilities", capabilities: ["CAP_NET_ADMIN"], kept: ["CAP_SYS_ADMIN"] },
    "setCapabilities CAP_NET_ADMIN kept=CAP_SYS_ADMIN",
  ],
  [{ step: "startMonitor", argv: ["urunc-monitor", "secret"], fds: [] }, "startMonitor"],
  [{ step: "exec", argv: ["urunc-waiter", "end=9"], env: [], fds: [] }, "exec"],
];

for (const [step, expected] of STEPS) {
  Deno.test(`a log calls a step ${expected}`, () => assert.equal(describeStep(step), expected));
}
