import assert from "node:assert/strict";
import { InvalidConfigurationError } from "../../../lib/errors.ts";
import { readPodSysctls } from "../../../lib/inspect/pod.ts";
import { Scope } from "../../support/scope.ts";

const SYSCTLS = { "kernel.shm_rmid_forced": "1" };
const SANDBOX = {
  annotations: { "io.kubernetes.cri.container-type": "sandbox" },
  linux: { sysctl: SYSCTLS },
};
const OF_POD = { "io.kubernetes.cri.sandbox-id": "pod" };

const cases: [what: string, annotations: Record<string, string>, sandbox: unknown, unknown][] = [
  ["of a pod's container are its sandbox's", OF_POD, SANDBOX, SYSCTLS],
  ["of a pod without any are none", OF_POD, { ...SANDBOX, linux: {} }, {}],
  ["of a container in no pod are none", {}, SANDBOX, {}],
  ["are not another container's", OF_POD, { ...SANDBOX, annotations: {} }, {}],
  ["of a pod that is not there are none", OF_POD, undefined, {}],
  ["of a pod elsewhere are none", { "io.kubernetes.cri.sandbox-id": "../b/pod" }, SANDBOX, {}],
];

for (const [what, annotations, sandbox, expected] of cases) {
  Deno.test(`the pod's settings of the kernel ${what}`, async () => {
    await using scope = new Scope();
    const directory = `${await scope.temporaryDirectory("pod")}/b`;
    await Deno.mkdir(`${directory}/pod`, { recursive: true });
    if (sandbox !== undefined) {
      await Deno.writeTextFile(`${directory}/pod/config.json`, JSON.stringify(sandbox));
    }
    assert.deepEqual(readPodSysctls(`${directory}/container`, annotations), expected);
  });
}

Deno.test("the pod's settings of the kernel are where CRI-O has its bundles, too", async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("overlay-containers");
  await Deno.mkdir(`${directory}/pod/userdata`, { recursive: true });
  const type = "io.kubernetes.cri-o.ContainerType";
  const sandbox = { ...SANDBOX, annotations: { [type]: "sandbox" } };
  await Deno.writeTextFile(`${directory}/pod/userdata/config.json`, JSON.stringify(sandbox));
  const annotations = {
    [type]: "container",
    "io.container.manager": "cri-o",
    "io.kubernetes.cri-o.SandboxID": "pod",
    // CRI-O passes on what a pod's author says.
    "io.kubernetes.cri.sandbox-id": "another",
  };
  assert.deepEqual(readPodSysctls(`${directory}/container/userdata`, annotations), SYSCTLS);
});

Deno.test("a sandbox whose settings cannot be read is named", async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("pod");
  await Deno.mkdir(`${directory}/pod`);
  const broken = { ...SANDBOX, linux: { sysctl: { "kernel.sem": 1 } } };
  await Deno.writeTextFile(`${directory}/pod/config.json`, JSON.stringify(broken));
  assert.throws(() => readPodSysctls(`${directory}/container`, OF_POD), (error: Error) => {
    assert.ok(error instanceof InvalidConfigurationError);
    assert.match(error.message, /pod\/config\.json linux\.sysctl\["kernel\.sem"\]/);
    return true;
  });
});
