import assert from "node:assert/strict";
import { blockIOWrites, ioWeight } from "../../../../lib/cgroups/resources/blockio.ts";
import { hugetlbWrites } from "../../../../lib/cgroups/resources/hugetlb.ts";
import { placeCgroup } from "../../../../lib/cgroups/plan.ts";
import { applyResources } from "../../../../lib/cgroups/resources/resources.ts";
import { type CgroupWrite } from "../../../../lib/cgroups/writes.ts";
import { delegatedControllers } from "../../../../lib/cgroups/directories.ts";
import { HostError } from "../../../../lib/errors.ts";
import type { CgroupLayout } from "../../../../lib/host/types.ts";
import type { BlockIO, Resources } from "../../../../lib/oci/types.ts";
import { HYBRID, V1, V2 } from "../_layouts.ts";

/** Without the directory's beginning; `?` marks a file that may be missing, `|` another that may do. */
function print(writes: CgroupWrite[]): string[] {
  const one = ({ file, value }: { file: string; value: string }) =>
    `${file.replace("/cg/", "")}=${value}`;
  return writes.map((it) =>
    one(it) + (it.mayBeMissing ? "?" : "") + (it.or === undefined ? "" : ` | ${one(it.or)}`)
  );
}

const WITH_BLKIO: CgroupLayout = { mode: "v1", v1: { ...V1.v1, blkio: "/cg/blkio" } };

const DISK = { major: 8, minor: 16 };
const EVERYTHING: BlockIO = {
  weight: 500,
  weightDevice: [{ ...DISK, weight: 10 }],
  throttleReadBpsDevice: [{ ...DISK, rate: 1_048_576 }],
  throttleWriteBpsDevice: [{ ...DISK, rate: 2_000_000_000_000 }],
  throttleReadIOPSDevice: [{ ...DISK, rate: 0 }],
  throttleWriteIOPSDevice: [{ ...DISK, rate: 7 }, { major: 7, minor: 0, rate: 8 }],
};

Deno.test("block devices in v1", () => {
  assert.deepEqual(
    print(blockIOWrites({ ...EVERYTHING, leafWeight: 20 }, placeCgroup(WITH_BLKIO, "/a", "one"))),
    [
      "blkio/a/blkio.weight=500 | blkio/a/blkio.bfq.weight=500",
      "blkio/a/blkio.leaf_weight=20",
      "blkio/a/blkio.weight_device=8:16 10 | blkio/a/blkio.bfq.weight_device=8:16 10",
      "blkio/a/blkio.throttle.read_bps_device=8:16 1048576",
      "blkio/a/blkio.throttle.write_bps_device=8:16 2000000000000",
      "blkio/a/blkio.throttle.read_iops_device=8:16 0",
      "blkio/a/blkio.throttle.write_iops_device=8:16 7",
      "blkio/a/blkio.throttle.write_iops_device=7:0 8",
    ],
  );
});

Deno.test("block devices in v2", () => {
  assert.deepEqual(print(blockIOWrites(EVERYTHING, placeCgroup(V2, "/a", "one"))), [
    "a/io.weight=4950 | a/io.bfq.weight=500",
    "a/io.weight=8:16 1 | a/io.bfq.weight=8:16 10",
    "a/io.max=8:16 rbps=1048576",
    "a/io.max=8:16 wbps=2000000000000",
    "a/io.max=8:16 riops=max",
    "a/io.max=8:16 wiops=7",
    "a/io.max=7:0 wiops=8",
  ]);
});

for (const [weight, expected] of [[10, 1], [100, 910], [1000, 10_000]] as const) {
  Deno.test(`a weight of ${weight} is ${expected} in io.weight`, () => {
    assert.equal(ioWeight(weight), expected);
  });
}

Deno.test("without the controller nothing can be asked for", () => {
  for (const layout of [V1, { ...V2, v2: { mountPoint: "/cg", controllers: [] } }]) {
    const plan = placeCgroup(layout, "/a", "one");
    assert.deepEqual(blockIOWrites({ weight: 0, throttleReadBpsDevice: [] }, plan), []);
    assert.throws(() => blockIOWrites(EVERYTHING, plan), HostError);
  }
});

const HUGE_V1: CgroupLayout = { mode: "v1", v1: { ...V1.v1, hugetlb: "/cg/hugetlb" } };
const HUGE_V2: CgroupLayout = { ...V2, v2: { mountPoint: "/cg", controllers: ["hugetlb"] } };
const MIB = 1024 * 1024;

const HUGE: [string, CgroupLayout, Resources["hugepageLimits"], string[]][] = [
  ["v1", HUGE_V1, [{ pageSize: "2MB", limit: 64 * MIB }], [
    "hugetlb/a/hugetlb.2MB.limit_in_bytes=67108864",
    "hugetlb/a/hugetlb.2MB.rsvd.limit_in_bytes=67108864?",
  ]],
  ["v2", HUGE_V2, [{ pageSize: "1GB", limit: 1024 * MIB }], [
    "a/hugetlb.1GB.max=1073741824",
    "a/hugetlb.1GB.rsvd.max=1073741824?",
  ]],
  ["hybrid, where v2 has it", HYBRID, [{ pageSize: "2MB", limit: 0 }], [
    "unified/a/hugetlb.2MB.max=0?",
    "unified/a/hugetlb.2MB.rsvd.max=0?",
  ]],
  ["no limit in v1", HUGE_V1, [{ pageSize: "2MB", limit: 2 ** 64 }], [
    "hugetlb/a/hugetlb.2MB.limit_in_bytes=-1",
    "hugetlb/a/hugetlb.2MB.rsvd.limit_in_bytes=-1?",
  ]],
  ["no limit in v2", HUGE_V2, [{ pageSize: "2MB", limit: 2 ** 64 }], [
    "a/hugetlb.2MB.max=max",
    "a/hugetlb.2MB.rsvd.max=max?",
  ]],
  ["Kubernetes' zeros where nothing counts", V2, [{ pageSize: "2MB", limit: 0 }], []],
];

for (const [what, layout, limits, expected] of HUGE) {
  Deno.test(`huge pages: ${what}`, () => {
    assert.deepEqual(print(hugetlbWrites(limits, placeCgroup(layout, "/a", "one"))), expected);
  });
}

Deno.test("in hybrid mode only the controllers that a limit needs are delegated", () => {
  const plan = placeCgroup(HYBRID, "/a", "one");
  assert.deepEqual(delegatedControllers(plan, []), []);
  const limits = hugetlbWrites([{ pageSize: "2MB", limit: 0 }], plan);
  assert.deepEqual(delegatedControllers(plan, limits), ["hugetlb"]);
  assert.deepEqual(delegatedControllers(placeCgroup(V2, "/a", "one"), []), V2.v2!.controllers);
  assert.deepEqual(delegatedControllers(placeCgroup(V1, "/a", "one"), []), []);
});

Deno.test("of two files those are written that are there, and one must be", () => {
  const directory = Deno.makeTempDirSync({ prefix: "urunc-cgroup-" });
  const [first, second] = [`${directory}/first`, `${directory}/second`];
  const write = { file: first, value: "1", or: { file: second, value: "2" } };
  const content = () =>
    Object.fromEntries(
      [...Deno.readDirSync(directory)].map(({ name }) => [
        name,
        Deno.readTextFileSync(`${directory}/${name}`),
      ]),
    );
  try {
    assert.throws(() => applyResources([write]), /this kernel does not have it/);
    Deno.writeTextFileSync(second, "");
    applyResources([write]);
    assert.deepEqual(content(), { second: "2" });
    Deno.writeTextFileSync(first, "");
    Deno.writeTextFileSync(second, "");
    applyResources([write]);
    assert.deepEqual(content(), { first: "1", second: "2" });
    Deno.removeSync(second);
    applyResources([write]);
    assert.deepEqual(content(), { first: "1" });
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
