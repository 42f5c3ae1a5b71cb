import assert from "node:assert/strict";
import { completeResources, readCurrentLimits } from "../../../lib/cgroups/resources/current.ts";
import { formerValue } from "../../../lib/cgroups/resources/former_values.ts";
import { locateCgroup, placeCgroup } from "../../../lib/cgroups/plan.ts";
import { changeResources } from "../../../lib/cgroups/resources/resources.ts";
import { HostError } from "../../../lib/errors.ts";
import type { CgroupLayout } from "../../../lib/host/types.ts";
import { readUpdate } from "../../../lib/oci/parse_resources.ts";
import { HYBRID, V1, V2 } from "./_layouts.ts";

for (const layout of [V1, V2, HYBRID]) {
  for (const path of ["/docker/abc", undefined]) {
    Deno.test(`${layout.mode}: cgroups are found again where they were placed: ${path}`, () => {
      const plan = placeCgroup(layout, path, "one");
      const leaves = [...plan.v1, ...(plan.v2 ? [plan.v2] : [])].map(({ directory }) => directory);
      const parents = leaves.map((leaf) => leaf.slice(0, leaf.lastIndexOf("/")));
      assert.deepEqual(locateCgroup(layout, [...leaves, ...parents]), plan);
    });
  }
}

Deno.test("cgroups that are mounted nowhere are not found", () => {
  assert.throws(() => locateCgroup(V1, ["/elsewhere/a"]), HostError);
});

const FORMER: [file: string, content: string, value: string, former: string][] = [
  ["memory.max", "max\n", "1", "max"],
  ["cpu.max", "max 100000\n", "1 2", "max 100000"],
  ["cpuset.cpus", "\n", "0", "\n"],
  ["memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", "1", "0"],
  ["io.weight", "default 100\n8:0 50\n", "7", "default 100"],
  ["io.weight", "default 100\n8:0 50\n", "8:0 7", "8:0 50"],
  ["io.weight", "default 100\n18:0 50\n", "8:0 7", "8:0 default"],
  ["io.max", "", "8:0 rbps=1", "8:0 rbps=max wbps=max riops=max wiops=max"],
  [
    "io.max",
    "8:16 rbps=2 wbps=max riops=max wiops=5\n",
    "8:16 rbps=1",
    "8:16 rbps=2 wbps=max riops=max wiops=5",
  ],
  ["blkio.throttle.read_bps_device", "", "8:0 5", "8:0 0"],
  ["blkio.throttle.read_bps_device", "8:0 9\n", "8:0 5", "8:0 9"],
];

for (const [file, content, value, former] of FORMER) {
  Deno.test(`${file}: ${JSON.stringify(value)} is taken back by ${JSON.stringify(former)}`, () => {
    assert.equal(formerValue({ file: `/cg/a/${file}`, value }, content), former);
  });
}

/** A directory of files in the place of a cgroup, removed at the end. */
function withFiles(
  files: Record<string, string>,
  test: (directory: string, content: () => Record<string, string>) => void,
): void {
  const directory = Deno.makeTempDirSync({ prefix: "urunc-cgroup-" });
  try {
    for (const [name, text] of Object.entries(files)) {
      Deno.writeTextFileSync(`${directory}/${name}`, text);
    }
    test(directory, () =>
      Object.fromEntries(
        Object.keys(files).map((name) => [name, Deno.readTextFileSync(`${directory}/${name}`)]),
      ));
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

Deno.test("limits are changed all or none of them", () => {
  withFiles({ "memory.max": "max", "pids.max": "5" }, (directory, content) => {
    const writes = [
      { file: `${directory}/memory.max`, value: "1000" },
      { file: `${directory}/pids.max`, value: "7" },
    ];
    assert.throws(() => changeResources([...writes, { file: `${directory}/x`, value: "1" }]), /x/);
    assert.deepEqual(content(), { "memory.max": "max", "pids.max": "5" });
    const fail = () => {
      assert.deepEqual(content(), { "memory.max": "1000", "pids.max": "7" });
      throw new Error("afterwards");
    };
    assert.throws(() => changeResources(writes, fail), /^Error: afterwards$/);
    assert.deepEqual(content(), { "memory.max": "max", "pids.max": "5" });
    changeResources(writes);
    assert.deepEqual(content(), { "memory.max": "1000", "pids.max": "7" });
  });
});

function changes(json: Record<string, unknown>) {
  return readUpdate(json);
}

const MIB = 1024 * 1024;

const COMPLETED: [string, Record<string, unknown>, Record<string, unknown>, unknown][] = [
  ["nothing", {}, { memory: 64 * MIB, swap: 128 * MIB, quota: 1, period: 2 }, {}],
  ["memory keeps its sum with swap", { memory: { limit: 80 * MIB } }, { swap: 128 * MIB }, {
    memory: { limit: 80 * MIB, swap: 128 * MIB },
  }],
  ["swap keeps its memory", { memory: { swap: 90 * MIB } }, { memory: 64 * MIB }, {
    memory: { limit: 64 * MIB, swap: 90 * MIB },
  }],
  ["no limit at all", { memory: { limit: -1 } }, { memory: 1, swap: 2 }, {
    memory: { limit: -1, swap: -1 },
  }],
  ["both", { memory: { limit: 5, swap: 6 } }, { memory: 1, swap: 2 }, {
    memory: { limit: 5, swap: 6 },
  }],
  ["a quota keeps its period", { cpu: { quota: 5 } }, { quota: 1, period: 2 }, {
    cpu: { quota: 5, period: 2 },
  }],
  ["a period keeps its quota", { cpu: { period: 5 } }, { quota: 1, period: 2 }, {
    cpu: { quota: 1, period: 5 },
  }],
  ["a period alone where there is no quota", { cpu: { period: 5 } }, { period: 2 }, {
    cpu: { period: 5 },
  }],
];

for (const [what, given, current, expected] of COMPLETED) {
  Deno.test(`limits that are not given stay: ${what}`, () => {
    const { memory, cpu } = completeResources(changes(given), current);
    const all = JSON.parse(JSON.stringify({ memory, cpu }));
    assert.deepEqual(all, { memory: {}, cpu: {}, ...expected as Record<string, unknown> });
  });
}

Deno.test("the limits in force are read from v1's files and from v2's", () => {
  withFiles({
    "memory.limit_in_bytes": "67108864\n",
    "memory.memsw.limit_in_bytes": "9223372036854771712\n",
    "cpu.cfs_quota_us": "-1\n",
    "cpu.cfs_period_us": "100000\n",
    "memory.max": "67108864\n",
    "memory.swap.max": "1048576\n",
    "cpu.max": "max 50000\n",
  }, (directory) => {
    const at = { mountPoint: directory, directory };
    const v1 = { path: "/", v1: [{ ...at, controllers: ["memory", "cpu"] }] };
    assert.deepEqual(readCurrentLimits(v1), {
      memory: 64 * MIB,
      swap: undefined,
      quota: undefined,
      period: 100_000,
    });
    const v2 = { path: "/", v1: [], v2: { ...at, controllers: ["memory", "cpu"] } };
    assert.deepEqual(readCurrentLimits(v2), {
      memory: 64 * MIB,
      swap: 65 * MIB,
      quota: undefined,
      period: 50_000,
    });
  });
  const nothing: CgroupLayout = { mode: "v1", v1: { pids: "/no/such" } };
  assert.deepEqual(readCurrentLimits(placeCgroup(nothing, "/a", "one")), {
    memory: undefined,
    swap: undefined,
    quota: undefined,
    period: undefined,
  });
});
