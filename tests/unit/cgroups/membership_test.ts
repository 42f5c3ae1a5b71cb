import assert from "node:assert/strict";
import { missedDirectories } from "../../../lib/cgroups/membership.ts";
import { placeCgroup } from "../../../lib/cgroups/plan.ts";
import { HYBRID, V1, V2 } from "./_layouts.ts";

const V1_TEXT = `6:pids:/urunc/one
5:devices:/urunc/one
4:memory:/urunc/one
3:cpuset:/urunc/one
2:cpu,cpuacct:/urunc/one
`;

const CASES = [
  { what: "all of version 1", layout: V1, text: V1_TEXT, missed: [] },
  { what: "version 2", layout: V2, text: "0::/urunc/one\n", missed: [] },
  { what: "both versions", layout: HYBRID, text: `${V1_TEXT}0::/urunc/one\n`, missed: [] },
  {
    what: "both versions, and another hierarchy's root",
    layout: HYBRID,
    text: `${V1_TEXT}1:name=systemd:/\n0::/urunc/one\n`,
    missed: [],
  },
  {
    what: "all but one hierarchy",
    layout: V1,
    text: V1_TEXT.replace("memory:/urunc/one", "memory:/"),
    missed: ["/cg/memory/urunc/one"],
  },
  {
    what: "all but those of two controllers",
    layout: V1,
    text: V1_TEXT.replace("cpuacct:/urunc/one", "cpuacct:/system.slice"),
    missed: ["/cg/cpu/urunc/one"],
  },
  {
    what: "version 1 and not version 2",
    layout: HYBRID,
    text: `${V1_TEXT}0::/system.slice/containerd.service\n`,
    missed: ["/cg/unified/urunc/one"],
  },
  { what: "another's", layout: V2, text: "0::/urunc/one/two\n", missed: ["/cg/urunc/one"] },
  {
    what: "a removed one",
    layout: V2,
    text: "0::/urunc/one (deleted)\n",
    missed: ["/cg/urunc/one"],
  },
  { what: "the root", layout: V2, text: "0::/\n", missed: ["/cg/urunc/one"] },
  { what: "nothing that can be read", layout: V2, text: "", missed: ["/cg/urunc/one"] },
];

for (const { what, layout, text, missed } of CASES) {
  Deno.test(`a process in ${what} misses ${missed.length} directories`, () => {
    assert.deepEqual(missedDirectories(text, placeCgroup(layout, undefined, "one")), missed);
  });
}

Deno.test("a colon in the path of a cgroup is part of it", () => {
  const plan = placeCgroup(V2, "/kubepods/pod1:2/c", "one");
  assert.deepEqual(missedDirectories("0::/kubepods/pod1:2/c\n", plan), []);
});
