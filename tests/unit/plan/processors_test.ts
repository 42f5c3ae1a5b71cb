import assert from "node:assert/strict";
import { defaultConfiguration } from "../../../lib/config/parse.ts";
import { guestOf } from "../../../lib/guest/families/registry.ts";
import type { UnikernelType } from "../../../lib/guest/types.ts";
import { monitorByName } from "../../../lib/monitor/registry.ts";
import { planLaunch } from "../../../lib/plan/launch.ts";
import { virtualProcessors } from "../../../lib/plan/processors.ts";
import { launchInputOf, specOf } from "../../support/plan_inputs.ts";

function resourcesOf(quota: number | undefined) {
  const { resources } = specOf().linux;
  return { ...resources, cpu: quota === undefined ? {} : { quota, period: 100_000 } };
}

const cases: {
  quota?: number;
  defaultVcpus?: number;
  type?: UnikernelType;
  monitor?: string;
  vcpus: number;
}[] = [
  { vcpus: 1 },
  { defaultVcpus: 4, vcpus: 4 },
  { quota: 250_000, vcpus: 3 },
  { quota: 50_000, defaultVcpus: 4, vcpus: 1 },
  { quota: 90_000_000, vcpus: 255 },
  { quota: 4_000_000, monitor: "firecracker", vcpus: 32 },
  { quota: 400_000, type: "unikraft", vcpus: 4 },
  { quota: 400_000, type: "elf", monitor: "spt", vcpus: 1 },
  { quota: 400_000, type: "mewz", vcpus: 1 },
  { quota: 400_000, type: "mirage", vcpus: 1 },
];

for (const { quota, defaultVcpus = 1, type = "linux", monitor = "qemu", vcpus } of cases) {
  Deno.test(`a ${type} guest on ${monitor} with quota ${quota}, ${defaultVcpus} by default, has ${vcpus}`, () => {
    const found = virtualProcessors({
      resources: resourcesOf(quota),
      configuration: { default_vcpus: defaultVcpus },
      guest: guestOf(type),
      monitor: monitorByName(monitor),
    });
    assert.equal(found, vcpus);
  });
}

Deno.test("processors are the monitor's argument, and cost memory of the limit", () => {
  const planOf = (quota: number | undefined) => {
    const spec = specOf();
    spec.linux.resources = resourcesOf(quota);
    spec.linux.resources.memory = { limit: 256 * 2 ** 20 };
    const configuration = defaultConfiguration();
    const { plan, vcpus } = planLaunch(launchInputOf({ spec, configuration }));
    const { argv } = plan.steps.find((step) => step.step === "startMonitor")!;
    const after = (option: string) => argv[argv.indexOf(option) + 1]!;
    return { vcpus, smp: after("-smp"), memory: parseInt(after("-m").replace("size=", "")) };
  };
  const [one, three] = [planOf(undefined), planOf(300_000)];
  assert.deepEqual([one.vcpus, one.smp], [1, "cpus=1"]);
  assert.deepEqual([three.vcpus, three.smp], [3, "cpus=3"]);
  // 2.5 MiB each: lib/monitor/qemu/memory.ts.
  assert.equal(one.memory - three.memory, 5);
});
