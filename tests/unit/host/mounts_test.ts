import assert from "node:assert/strict";
import { parseMountInfo, readMounts } from "../../../lib/host/mounts.ts";

Deno.test("a mount with optional fields is parsed", () => {
  const line =
    "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue\n";
  assert.deepEqual(parseMountInfo(line), [{
    id: 36,
    parentId: 35,
    device: { major: 98, minor: 0 },
    root: "/mnt1",
    mountPoint: "/mnt2",
    options: ["rw", "noatime"],
    optionalFields: ["master:1", "shared:7"],
    type: "ext3",
    source: "/dev/root",
    superOptions: ["rw", "errors=continue"],
  }]);
});

for (
  const [escaped, plain] of [
    ["/a\\040b", "/a b"],
    ["/tab\\011", "/tab\t"],
    ["/line\\012", "/line\n"],
    ["/back\\134slash", "/back\\slash"],
    ["/\\134040", "/\\040"],
    ["/ünï", "/ünï"],
    ["/not\\09octal", "/not\\09octal"],
  ] as const
) {
  Deno.test(`the mount point ${JSON.stringify(escaped)} is ${JSON.stringify(plain)}`, () => {
    const [mount] = parseMountInfo(`1 0 0:1 / ${escaped} rw - tmpfs none rw\n`);
    assert.equal(mount?.mountPoint, plain);
  });
}

Deno.test("a mount point named - does not end the optional fields", () => {
  const [mount] = parseMountInfo("1 0 0:1 - - rw - tmpfs - rw");
  assert.deepEqual([mount?.root, mount?.mountPoint, mount?.type, mount?.source], [
    "-",
    "-",
    "tmpfs",
    "-",
  ]);
});

for (const line of ["nonsense", "1 0 0:1 / / rw tmpfs none rw", "1 0 x / / rw - a b c"]) {
  Deno.test(`the mount table line ${JSON.stringify(line)} is refused`, () => {
    assert.throws(() => parseMountInfo(line), /not a mountinfo line/);
  });
}

Deno.test("this machine's mount table has a root and /proc", () => {
  const points = readMounts().map((mount) => mount.mountPoint);
  assert.ok(points.includes("/") && points.includes("/proc"));
});
