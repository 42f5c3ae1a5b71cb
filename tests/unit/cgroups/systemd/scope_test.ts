import assert from "node:assert/strict";
import { isUnitName, parseScopePath, placeScope } from "../../../../lib/cgroups/systemd/scope.ts";
import { HostError, InvalidConfigurationError, UnsupportedError } from "../../../../lib/errors.ts";
import { HYBRID, V1, V2 } from "../_layouts.ts";

const PATHS: [string | undefined, unit: string, path: string][] = [
  [undefined, "urunc-one.scope", "/system.slice/urunc-one.scope"],
  ["", "urunc-one.scope", "/system.slice/urunc-one.scope"],
  ["system.slice:docker:abc", "docker-abc.scope", "/system.slice/docker-abc.scope"],
  [":docker:abc", "docker-abc.scope", "/system.slice/docker-abc.scope"],
  ["machine.slice:libpod:abc", "libpod-abc.scope", "/machine.slice/libpod-abc.scope"],
  ["-:a:b", "a-b.scope", "/a-b.scope"],
  ["-.slice:a:b", "a-b.scope", "/a-b.scope"],
  [
    "kubepods-besteffort-pod1_2.slice:cri-containerd:abc",
    "cri-containerd-abc.scope",
    "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1_2.slice/" +
    "cri-containerd-abc.scope",
  ],
  ["a.slice::b", "-b.scope", "/a.slice/-b.scope"],
];

for (const [cgroupsPath, unit, path] of PATHS) {
  Deno.test(`systemd: the cgroupsPath ${JSON.stringify(cgroupsPath)} is ${path}`, () => {
    const place = placeScope(V2, cgroupsPath, "one");
    assert.equal(place.scope.unit, unit);
    assert.equal(place.plan.path, path);
    assert.deepEqual(place.plan.v1, []);
    assert.equal(place.plan.v2?.directory, `/cg${path}`);
  });
}

const REFUSED = [
  "/docker/abc",
  "a/b",
  "a.slice:b",
  "a.slice:b:c:d",
  "a.slice:b:",
  "a:b:c",
  ".slice:b:c",
  "a--b.slice:b:c",
  "-a.slice:b:c",
  "a-.slice:b:c",
  "../a.slice:b:c",
  "a/b.slice:b:c",
  "a.slice:b/c:d",
  "a.slice:b:../c",
  "a.slice:b:c d",
  "a.slice:b:c'd",
  "a.slice:b:c\nd",
  "a.slice:b:c.slice",
  `a.slice:b:${"c".repeat(250)}`,
];

for (const cgroupsPath of REFUSED) {
  Deno.test(`systemd: the cgroupsPath ${JSON.stringify(cgroupsPath).slice(0, 40)} is refused`, () => {
    assert.throws(() => parseScopePath(cgroupsPath, "one"), (error: Error) => {
      assert.ok(error instanceof InvalidConfigurationError);
      assert.match(error.message, /linux\.cgroupsPath/);
      return true;
    });
  });
}

Deno.test("systemd: the error for a cgroupfs path names the expected form", () => {
  assert.throws(() => parseScopePath("/docker/abc", "one"), /slice:prefix:name.*cgroupfs driver/);
});

for (const layout of [V1, HYBRID]) {
  Deno.test(`systemd: ${layout.mode} is refused by name`, () => {
    assert.throws(() => placeScope(layout, undefined, "one"), (error: Error) => {
      assert.ok(error instanceof UnsupportedError);
      assert.match(error.message, /cgroup v2.*cgroupfs driver/);
      return true;
    });
  });
}

Deno.test("systemd: without cgroups the host is to blame", () => {
  assert.throws(() => placeScope({ mode: "none", v1: {} }, undefined, "one"), HostError);
});

for (const name of ["a.scope", "a-b.slice", "a:b@c_d\\x2d.scope"]) {
  Deno.test(`a unit's name: ${name}`, () => assert.ok(isUnitName(name)));
}
for (
  const name of ["", "a", ".scope", "a.service", "a/b.scope", "a'.scope", "a.scope\n", "é.scope"]
) {
  Deno.test(`no unit's name: ${JSON.stringify(name)}`, () => assert.ok(!isUnitName(name)));
}
