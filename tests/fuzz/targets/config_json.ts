/** config.json: read, checked and planned from, as `create` does; updates of its resources. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { placeCgroup } from "../../../lib/cgroups/plan.ts";
import { planResources } from "../../../lib/cgroups/resources/resources.ts";
import type { CgroupLayout } from "../../../lib/host/types.ts";
import { diskDevices } from "../../../lib/oci/disk_devices.ts";
import { decodeSpec } from "../../../lib/oci/parse.ts";
import { parseUpdate } from "../../../lib/oci/parse_resources.ts";
import type { Spec } from "../../../lib/oci/types.ts";
import { diskMounts } from "../../../lib/oci/unsupported.ts";
import { validate } from "../../../lib/oci/validate.ts";
import { planLaunch } from "../../../lib/plan/launch.ts";
import { planNamespaces, planPidNamespace } from "../../../lib/plan/namespaces.ts";
import { isUnikernel } from "../../../lib/guest/parse.ts";
import { summarize } from "../../../lib/runc/kind.ts";
import { withRedirect } from "../../../lib/runc/queue_proxy.ts";
import { launchInputOf } from "../../support/plan_inputs.ts";
import { hostileJson } from "../json.ts";
import { parsed, target } from "../target.ts";

const RESOURCES = {
  devices: [{ allow: false, access: "rwm" }, { allow: true, type: "c", major: 1, access: "r" }],
  memory: { limit: 536870912, reservation: 1, swap: 536870912, kernel: -1, swappiness: 0 },
  cpu: { shares: 1024, quota: 100000, period: 100000, cpus: "0-1", mems: "0", burst: 0 },
  pids: { limit: 100 },
  blockIO: {
    weight: 100,
    weightDevice: [{ major: 8, minor: 0, weight: 100 }],
    throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1000 }],
  },
  hugepageLimits: [{ pageSize: "2MB", limit: 2097152 }],
  network: { classID: 1, priorities: [{ name: "eth0", priority: 1 }] },
  unified: { "memory.high": "1000000000" },
};

/** Every section, as engines write them. */
const DOCUMENT = {
  ociVersion: "1.2.0",
  hostname: "guest",
  domainname: "example",
  root: { path: "rootfs", readonly: true },
  process: {
    terminal: true,
    consoleSize: { height: 24, width: 80 },
    user: { uid: 1000, gid: 1000, umask: 18, additionalGids: [10, 1000] },
    args: ["/init", "a b", "c"],
    env: ["PATH=/bin", "A=b=c"],
    cwd: "/",
    capabilities: { bounding: ["CAP_CHOWN"], effective: [], permitted: [], inheritable: [] },
    rlimits: [{ type: "RLIMIT_NOFILE", soft: 1024, hard: 1048576 }],
    noNewPrivileges: true,
    apparmorProfile: "",
    oomScoreAdj: 100,
  },
  mounts: [
    { destination: "/proc", type: "proc", source: "proc", options: ["nosuid"] },
    { destination: "/data", type: "bind", source: "/srv/a.img", options: ["rbind", "ro"] },
  ],
  hooks: { poststop: [{ path: "/bin/true", args: ["true"], env: ["A=b"], timeout: 5 }] },
  annotations: { "com.urunc.unikernel.unikernelType": "elf", other: "x" },
  linux: {
    namespaces: [
      ...["pid", "mount", "uts", "ipc"].map((type) => ({ type, path: undefined })),
      { type: "network", path: "/run/netns/x" },
    ],
    cgroupsPath: "/pod/one",
    sysctl: { "net.ipv4.ip_forward": "1" },
    resources: RESOURCES,
    devices: [{ path: "/dev/vda", type: "b", major: 253, minor: 0, fileMode: 432, uid: 0, gid: 6 }],
    seccomp: {
      defaultAction: "SCMP_ACT_ERRNO",
      syscalls: [{ names: ["read"], action: "SCMP_ACT_LOG" }],
    },
    maskedPaths: ["/proc/kcore"],
    readonlyPaths: ["/proc/sys"],
    rootfsPropagation: "rslave",
  },
};

/** One without what no guest has: it gets through to its plan. */
const PLAIN = {
  ...DOCUMENT,
  process: { ...DOCUMENT.process, terminal: false, consoleSize: undefined },
  mounts: DOCUMENT.mounts.slice(0, 1),
  linux: {
    ...DOCUMENT.linux,
    resources: { memory: RESOURCES.memory, cpu: RESOURCES.cpu, pids: RESOURCES.pids },
    devices: [],
  },
};

const LAYOUTS: CgroupLayout[] = [
  { mode: "v1", v1: { cpu: "/cg/cpu", memory: "/cg/memory", pids: "/cg/pids", devices: "/cg/d" } },
  {
    mode: "v2",
    v1: {},
    v2: { mountPoint: "/cg", controllers: ["cpuset", "cpu", "io", "memory", "pids", "hugetlb"] },
  },
];

/** Everything that is made from a config.json before anything is changed. */
function plan(spec: Spec): void {
  validate(spec);
  diskMounts(spec);
  diskDevices(spec);
  for (const layout of LAYOUTS) {
    parsed(() =>
      planResources(
        spec.linux.resources,
        placeCgroup(layout, spec.linux.cgroupsPath, "one"),
      )
    );
  }
  planNamespaces(spec);
  planPidNamespace(spec);
  planLaunch(launchInputOf({ spec }));
}

const words = fc.array(
  fc.string({ unit: "grapheme-ascii", maxLength: 8 }).filter((it) => !it.includes("\0")),
  { maxLength: 4 },
);
const id = fc.integer({ min: 0, max: 2 ** 32 - 2 });
const exactLimit = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

export const CONFIG_JSON = [
  target({
    name: "config.json",
    weight: 20,
    inputs: hostileJson(DOCUMENT, PLAIN),
    check(bytes) {
      const spec = parsed(() => decodeSpec(bytes));
      if (spec !== undefined) parsed(() => plan(spec));
    },
  }),
  target({
    name: "config.json, valid",
    weight: 4,
    inputs: fc.record({ args: words, env: words, uid: id, gid: id, limit: exactLimit }),
    check({ args, env, uid, gid, limit }) {
      const text = JSON.stringify({
        ...PLAIN,
        process: {
          args,
          env: env.map((it, index) => `E${index}=${it}`),
          cwd: "/",
          user: { uid, gid, additionalGids: [gid] },
          rlimits: [{ type: "RLIMIT_AS", soft: 0, hard: "LIMIT" }],
        },
      }).replace('"LIMIT"', `${limit}`);
      const { process } = decodeSpec(new TextEncoder().encode(text));
      assert.deepEqual(process.args, args);
      assert.deepEqual(process.env, env.map((it, index) => `E${index}=${it}`));
      const { umask: _, ...user } = process.user as typeof process.user & { umask?: number };
      assert.deepEqual(user, { uid, gid, additionalGids: [gid] });
      assert.deepEqual(process.rlimits, [{ type: "RLIMIT_AS", soft: 0n, hard: limit }]);
    },
  }),
  target({
    name: "config.json of any container",
    weight: 3,
    inputs: hostileJson(DOCUMENT, {
      ...DOCUMENT,
      annotations: { "io.kubernetes.cri.container-name": "queue-proxy" },
    }),
    check(bytes) {
      const summary = parsed(() => summarize("/bundle", bytes));
      const changed = parsed(() => withRedirect(new TextDecoder().decode(bytes), "config.json"));
      if (changed !== undefined) assert.match(changed, /"REDIRECT_IP=/);
      const spec = parsed(() => decodeSpec(bytes));
      if (spec === undefined) return;
      // What the strict parser takes for a guest's, the other one does not hand to another runtime.
      assert.deepEqual(summary?.annotations, spec.annotations);
      assert.equal(isUnikernel(summary!.annotations), isUnikernel(spec.annotations));
    },
  }),
  target({
    name: "resources of an update",
    weight: 4,
    inputs: hostileJson(RESOURCES),
    check(bytes) {
      const resources = parsed(() => parseUpdate(bytes, "-"));
      if (resources === undefined) return;
      for (const layout of LAYOUTS) {
        parsed(() => planResources(resources, placeCgroup(layout, undefined, "one")));
      }
    },
  }),
];
