import assert from "node:assert/strict";
import { podWarnings } from "../../../lib/plan/pod.ts";
import { guestOf } from "../../../lib/guest/families/registry.ts";
import { planLaunch } from "../../../lib/plan/launch.ts";
import { launchInputOf, specOf } from "../../support/plan_inputs.ts";

const TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount";
const OF_POD = { "io.kubernetes.cri.container-type": "container" };
const AGENT = "the guest has no agent, and so not what pods have: ";

const bind = (destination: string) => ({
  destination,
  type: "bind",
  source: "/x",
  options: ["rbind"],
});

const specWith = (destinations: string[], annotations: Record<string, string>) =>
  specOf({ annotations, mounts: destinations.map(bind) });

const rows: {
  what: string;
  destinations: string[];
  annotations?: Record<string, string>;
  looksForFiles?: boolean;
  hasAgent?: boolean;
  sharesRoot?: boolean;
  expected: RegExp[];
}[] = [
  {
    what: "a Linux guest without an agent",
    destinations: ["/etc/hosts", "/dev/shm", "/etc/resolv.conf", TOKEN],
    expected: [
      /service account's token: automountServiceAccountToken: false/,
      new RegExp(`^${AGENT}the names of /etc/hosts, and of hostAliases; /dev/shm$`),
    ],
  },
  {
    what: "one without a token, of CRI-O",
    destinations: ["/dev/shm"],
    annotations: { "io.kubernetes.cri-o.ContainerType": "container" },
    expected: [new RegExp(`^${AGENT}/dev/shm$`)],
  },
  {
    what: "a guest with an agent",
    destinations: ["/etc/hosts", "/dev/shm", `/run${TOKEN.slice("/var/run".length)}`],
    hasAgent: true,
    expected: [/service account's token/],
  },
  {
    what: "a guest that shares the container's root",
    destinations: ["/etc/hosts", TOKEN],
    hasAgent: true,
    sharesRoot: true,
    expected: [],
  },
  {
    what: "a unikernel",
    destinations: ["/etc/hosts", "/dev/shm", TOKEN],
    looksForFiles: false,
    expected: [/service account's token/],
  },
  {
    what: "a container that is not of a pod",
    destinations: ["/etc/hosts", "/dev/shm", TOKEN],
    annotations: {},
    expected: [],
  },
];

for (const row of rows) {
  const { what, destinations, annotations = OF_POD, looksForFiles = true, hasAgent = false } = row;
  const { sharesRoot } = row;
  Deno.test(`what a pod has and its guest has not is named: ${what}`, () => {
    const spec = specWith(destinations, annotations);
    const warnings = podWarnings({ spec, looksForFiles, hasAgent, sharesRoot });
    assert.equal(warnings.length, row.expected.length, warnings.join("\n"));
    for (const [index, expected] of row.expected.entries()) {
      assert.match(warnings[index]!, expected);
    }
  });
}

Deno.test("a launch warns of what the pod's guest has not", () => {
  const input = launchInputOf();
  const annotations = { ...input.spec.annotations, ...OF_POD };
  const spec = { ...input.spec, annotations, mounts: specWith(["/dev/shm", TOKEN], {}).mounts };
  const warnings = planLaunch({ ...input, spec, guest: guestOf("elf") }).warnings.join("\n");
  assert.match(warnings, /service account's token/);
  assert.doesNotMatch(warnings, /shm/);
});
