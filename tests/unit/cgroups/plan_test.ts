import assert from "node:assert/strict";
import { planCgroup } from "../../../lib/cgroups/cgroup.ts";
import type { CgroupLayout } from "../../../lib/host/types.ts";
import { parseUpdate } from "../../../lib/oci/parse_resources.ts";
import { placeCgroup, v1Directory } from "../../../lib/cgroups/plan.ts";
import { HostError, InvalidConfigurationError, UnsupportedError } from "../../../lib/errors.ts";
import { HYBRID, V1, V2 } from "./_layouts.ts";

const PATHS: [string | undefined, string][] = [
  [undefined, "/urunc/one"],
  ["", "/urunc/one"],
  ["/docker/abc", "/docker/abc"],
  ["//a/./b//", "/a/b"],
  ["a/b", "/urunc/a/b"],
  ["/kubepods/pod1:2/c", "/kubepods/pod1:2/c"],
];

for (const [cgroupsPath, expected] of PATHS) {
  Deno.test(`the cgroupsPath ${JSON.stringify(cgroupsPath)} is ${expected}`, () => {
    assert.equal(placeCgroup(V2, cgroupsPath, "one").path, expected);
  });
}

for (const bad of ["/", "//", ".", "/..", "../x", "/a/../b", "a/..", "/a\nb", "/a\0b"]) {
  Deno.test(`the cgroupsPath ${JSON.stringify(bad)} is refused`, () => {
    assert.throws(() => placeCgroup(V1, bad, "one"), (error: Error) => {
      assert.ok(error instanceof InvalidConfigurationError);
      assert.match(error.message, /linux\.cgroupsPath/);
      return true;
    });
  });
}

Deno.test("systemd's form is refused by name", () => {
  for (const path of ["system.slice:docker:abc", ":docker:abc"]) {
    assert.throws(() => placeCgroup(V2, path, "one"), UnsupportedError);
  }
});

Deno.test("without cgroups the host is to blame", () => {
  assert.throws(() => placeCgroup({ mode: "none", v1: {} }, undefined, "one"), HostError);
});

Deno.test("v1: co-mounted controllers share a directory", () => {
  assert.deepEqual(placeCgroup(V1, "/a/b", "one"), {
    path: "/a/b",
    v1: [
      { mountPoint: "/cg/cpu", directory: "/cg/cpu/a/b", controllers: ["cpu", "cpuacct"] },
      { mountPoint: "/cg/cpuset", directory: "/cg/cpuset/a/b", controllers: ["cpuset"] },
      { mountPoint: "/cg/memory", directory: "/cg/memory/a/b", controllers: ["memory"] },
      { mountPoint: "/cg/pids", directory: "/cg/pids/a/b", controllers: ["pids"] },
      { mountPoint: "/cg/devices", directory: "/cg/devices/a/b", controllers: ["devices"] },
    ],
  });
});

Deno.test("hybrid: the v2 tree gets a directory too", () => {
  const plan = placeCgroup(HYBRID, undefined, "one");
  assert.equal(plan.v2?.directory, "/cg/unified/urunc/one");
  assert.equal(plan.v1.length, 5);
});

Deno.test("a controller's directory is found, one that is not mounted is not", () => {
  const plan = placeCgroup(V1, undefined, "one");
  assert.equal(v1Directory(plan, "devices"), "/cg/devices/urunc/one");
  assert.equal(v1Directory(plan, "cpuacct"), "/cg/cpu/urunc/one");
  assert.equal(v1Directory(plan, "freezer"), undefined);
  assert.equal(v1Directory(placeCgroup(V2, undefined, "one"), "devices"), undefined);
});

Deno.test("a container that runs out of memory ends as a whole, where the kernel can do that", () => {
  const directory = Deno.makeTempDirSync();
  try {
    const limitsOf = (layout: CgroupLayout) =>
      planCgroup(layout, "/one", "one", parseUpdate(new TextEncoder().encode("{}"), "")).limits;
    const v2 = { mountPoint: directory, controllers: ["cpu", "memory"] };
    assert.deepEqual(limitsOf({ mode: "v2", v1: {}, v2 }), [
      { file: `${directory}/one/memory.oom.group`, value: "1", mayBeMissing: true },
    ]);
    assert.deepEqual(limitsOf({ mode: "v2", v1: {}, v2: { ...v2, controllers: ["cpu"] } }), []);
    const v1 = { memory: `${directory}/memory` };
    assert.deepEqual(limitsOf({ mode: "hybrid", v1, v2 }), []);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
