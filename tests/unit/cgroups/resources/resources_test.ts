import assert from "node:assert/strict";
import { placeCgroup } from "../../../../lib/cgroups/plan.ts";
import { applyResources, planResources } from "../../../../lib/cgroups/resources/resources.ts";
import { weightFromShares } from "../../../../lib/cgroups/resources/v2.ts";
import { HostError, InvalidConfigurationError, UnsupportedError } from "../../../../lib/errors.ts";
import type { CgroupLayout } from "../../../../lib/host/types.ts";
import type { Resources } from "../../../../lib/oci/types.ts";
import { HYBRID, V1, V2 } from "../_layouts.ts";

const NOTHING: Resources = {
  devices: [],
  memory: {},
  cpu: {},
  pids: {},
  blockIO: {},
  hugepageLimits: [],
  network: {},
  unified: {},
};

/** The writes as `file=value`, without the directories; `?` marks a file that may be missing. */
function writes(layout: CgroupLayout, resources: Partial<Resources>): string[] {
  const plan = placeCgroup(layout, "/a", "one");
  return planResources({ ...NOTHING, ...resources }, plan).map(({ file, value, mayBeMissing }) => {
    assert.match(file, /^\/cg\/([a-z]+\/)?a\/[a-z0-9_.A-Z]+$/);
    return `${file.slice(file.lastIndexOf("/") + 1)}${mayBeMissing ? "?" : ""}=${value}`;
  });
}

const MIB = 1024 * 1024;
const MEMSW = "memory.memsw.limit_in_bytes";

const V1_CASES: [string, Partial<Resources>, string[]][] = [
  ["nothing", {}, []],
  [
    "docker's zeros",
    {
      memory: { limit: 0, reservation: 0, swap: 0, disableOOMKiller: false },
      cpu: { shares: 0, quota: 0, period: 0, realtimeRuntime: 0, cpus: "", mems: "" },
      pids: { limit: 0 },
      blockIO: { weight: 0, weightDevice: [] },
      network: { classID: 0, priorities: [] },
    },
    [],
  ],
  [
    "a memory limit",
    { memory: { limit: 64 * MIB } },
    [`${MEMSW}?=-1`, "memory.limit_in_bytes=67108864"],
  ],
  [
    "memory and swap: lifted first, then limited, in the only order the kernel takes",
    { memory: { limit: 64 * MIB, swap: 128 * MIB } },
    [`${MEMSW}?=-1`, "memory.limit_in_bytes=67108864", `${MEMSW}=134217728`],
  ],
  [
    "no swap at all is fine on a kernel that does not count it",
    { memory: { limit: 64 * MIB, swap: 64 * MIB } },
    [`${MEMSW}?=-1`, "memory.limit_in_bytes=67108864", `${MEMSW}?=67108864`],
  ],
  [
    "unlimited",
    { memory: { limit: -1, swap: -1 }, pids: { limit: -1 } },
    [`${MEMSW}?=-1`, "memory.limit_in_bytes=-1", `${MEMSW}?=-1`, "pids.max=max"],
  ],
  [
    "the rest of memory",
    { memory: { reservation: MIB, swappiness: 0, disableOOMKiller: true, kernel: -1 } },
    ["memory.soft_limit_in_bytes=1048576", "memory.swappiness=0", "memory.oom_control=1"],
  ],
  [
    "a number of 19 digits keeps them",
    { memory: { limit: 9223372036854771712 } },
    [`${MEMSW}?=-1`, "memory.limit_in_bytes=9223372036854771712"],
  ],
  [
    "processor time: the quota is lifted while the period changes",
    { cpu: { shares: 512, quota: 50_000, period: 20_000, burst: 1000, idle: 1 } },
    [
      "cpu.shares=512",
      "cpu.cfs_quota_us=-1",
      "cpu.cfs_period_us=20000",
      "cpu.cfs_quota_us=50000",
      "cpu.cfs_burst_us=1000",
      "cpu.idle=1",
    ],
  ],
  [
    "processors and memory nodes",
    { cpu: { cpus: "0-1", mems: "0" }, pids: { limit: 32 } },
    ["cpuset.cpus=0-1", "cpuset.mems=0", "pids.max=33"],
  ],
];

for (const [what, resources, expected] of V1_CASES) {
  for (const layout of [V1, HYBRID]) {
    Deno.test(`${layout.mode} limits: ${what}`, () => {
      assert.deepEqual(writes(layout, resources), expected);
    });
  }
}

const V2_CASES: [string, Partial<Resources>, string[]][] = [
  ["nothing", {}, []],
  ["a memory limit", { memory: { limit: 64 * MIB } }, ["memory.max=67108864"]],
  [
    "swap is counted alone",
    { memory: { limit: 64 * MIB, swap: 96 * MIB, reservation: MIB } },
    ["memory.max=67108864", "memory.swap.max=33554432", "memory.low=1048576"],
  ],
  [
    "no swap",
    { memory: { limit: MIB, swap: MIB } },
    ["memory.max=1048576", "memory.swap.max?=0"],
  ],
  [
    "unlimited",
    { memory: { limit: -1, swap: -1, reservation: -1 }, pids: { limit: -1 } },
    ["memory.max=max", "memory.swap.max?=max", "memory.low=max", "pids.max=max"],
  ],
  ["a quota", { cpu: { quota: 50_000 } }, ["cpu.max=50000 100000"]],
  ["a period", { cpu: { period: 20_000 } }, ["cpu.max=max 20000"]],
  ["no quota", { cpu: { quota: -1, period: 20_000 } }, ["cpu.max=max 20000"]],
  [
    "processors",
    { cpu: { shares: 1024, burst: 5, idle: 1, cpus: "0", mems: "0" }, pids: { limit: 5 } },
    [
      "cpu.weight=39",
      "cpu.idle=1",
      "cpu.max.burst=5",
      "cpuset.cpus=0",
      "cpuset.mems=0",
      "pids.max=6",
    ],
  ],
  [
    "files by their names",
    { unified: { "memory.high": "1000", "io.max": "8:0 rbps=1" } },
    ["memory.high=1000", "io.max=8:0 rbps=1"],
  ],
  [
    "a file by its name, which leaves swap what it is",
    {
      memory: { limit: 64 * MIB, swap: 96 * MIB },
      unified: { "memory.max": "1048576" },
    },
    ["memory.max=67108864", "memory.swap.max=33554432", "memory.max=1048576"],
  ],
];

for (const [what, resources, expected] of V2_CASES) {
  Deno.test(`v2 limits: ${what}`, () => {
    assert.deepEqual(writes(V2, resources), expected);
  });
}

for (const [shares, weight] of [[0, 1], [2, 1], [1024, 39], [262_144, 10_000], [1e9, 10_000]]) {
  Deno.test(`${shares} shares weigh ${weight}`, () => {
    assert.equal(weightFromShares(shares!), weight);
  });
}

type ErrorClass = new (...args: never[]) => Error;
const REFUSED: [string, CgroupLayout, Partial<Resources>, ErrorClass, RegExp][] = [
  ["blockIO", V1, { blockIO: { weight: 10 } }, HostError, /controller blkio is not available/],
  [
    "leaf weights on v2",
    V2,
    { blockIO: { weightDevice: [{ major: 8, minor: 0, leafWeight: 10 }] } },
    UnsupportedError,
    /blockIO\.leafWeight/,
  ],
  ["RDMA", V2, { rdma: { mlx5_1: { hcaHandles: 3 } } }, UnsupportedError, /resources\.rdma/],
  [
    "huge pages",
    V2,
    { hugepageLimits: [{ pageSize: "2MB", limit: 1 }] },
    HostError,
    /hugepageLimits: the cgroup controller hugetlb/,
  ],
  ["network classes", V1, { network: { classID: 1 } }, UnsupportedError, /resources\.network/],
  ["kernel memory", V1, { memory: { kernel: 1 } }, UnsupportedError, /memory\.kernel/],
  ["real time", V1, { cpu: { realtimeRuntime: 1 } }, UnsupportedError, /realtimeRuntime/],
  ["unified on v1", V1, { unified: { "memory.high": "1" } }, UnsupportedError, /unified/],
  ["unified on hybrid", HYBRID, { unified: { "a.b": "" } }, UnsupportedError, /unified/],
  ["swappiness on v2", V2, { memory: { swappiness: 60 } }, UnsupportedError, /swappiness/],
  ["no OOM killer on v2", V2, { memory: { disableOOMKiller: true } }, UnsupportedError, /OOM/],
  ["swap without memory", V1, { memory: { swap: 1 } }, InvalidConfigurationError, /memory\.swap/],
  [
    "less swap than memory",
    V2,
    { memory: { limit: 2, swap: 1 } },
    InvalidConfigurationError,
    /memory\.swap: 1 is less/,
  ],
  [
    "a controller that is not mounted",
    { ...V1, v1: { pids: "/cg/pids" } },
    { memory: { limit: 1 } },
    HostError,
    /controller memory is not available/,
  ],
  [
    "a controller that v2 lacks",
    { ...V2, v2: { mountPoint: "/cg", controllers: [] } },
    { pids: { limit: 1 } },
    HostError,
    /resources\.pids\.limit: the cgroup controller pids/,
  ],
  [
    "a unified path",
    V2,
    { unified: { "../memory.max": "1" } },
    InvalidConfigurationError,
    /unified/,
  ],
  [
    "a unified file that moves processes",
    V2,
    { unified: { "cgroup.procs": "1" } },
    InvalidConfigurationError,
    /cgroup\.procs/,
  ],
];

for (const [what, layout, resources, type, message] of REFUSED) {
  Deno.test(`a limit is refused by name: ${what}`, () => {
    assert.throws(() => writes(layout, resources), (error: Error) => {
      assert.ok(error instanceof type, `${error}`);
      assert.match(error.message, message);
      return true;
    });
  });
}

Deno.test("a missing file is an error that names it, unless it may be missing", () => {
  const directory = Deno.makeTempDirSync({ prefix: "urunc-cgroup-" });
  try {
    const file = `${directory}/memory.max`;
    applyResources([{ file, value: "1", mayBeMissing: true }]);
    assert.throws(
      () => applyResources([{ file, value: "1" }]),
      (error: Error) => error instanceof HostError && error.message.includes(`${file} to 1`),
    );
    assert.deepEqual([...Deno.readDirSync(directory)], []);
  } finally {
    Deno.removeSync(directory);
  }
});
