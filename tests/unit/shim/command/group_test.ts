import assert from "node:assert/strict";
import { groupOf, socketPath } from "../../../../lib/shim/command/group.ts";

const RUNC = "io.containerd.runc.v2.group";
const SANDBOX = "io.kubernetes.cri.sandbox-id";

const cases: [annotations: Record<string, string>, group: string][] = [
  [{}, "id"],
  [{ [SANDBOX]: "pod" }, "pod"],
  [{ [RUNC]: "group" }, "group"],
  [{ [SANDBOX]: "pod", [RUNC]: "group" }, "group"],
  [{ [RUNC]: "", [SANDBOX]: "pod" }, ""],
];

for (const [annotations, group] of cases) {
  Deno.test(`groupOf ${JSON.stringify(annotations)} is ${JSON.stringify(group)}`, () => {
    assert.equal(groupOf({ id: "id", annotations, shimGroup: "container" }), group);
  });
}

Deno.test("groupOf is the same for a whole namespace, and no container's id", () => {
  const of = (id: string, annotations: Record<string, string>) =>
    groupOf({ id, annotations, shimGroup: "namespace" });
  assert.equal(of("a", {}), of("b", { [SANDBOX]: "pod" }));
  assert.doesNotMatch(of("a", {}), /^[A-Za-z0-9_+\-.]*$/);
});

Deno.test("socketPath is another for each containerd, namespace and group", () => {
  const paths = [
    socketPath("/a.sock", "n", "g"),
    socketPath("/b.sock", "n", "g"),
    socketPath("/a.sock", "m", "g"),
    socketPath("/a.sock", "n", "h"),
  ];
  assert.equal(new Set(paths).size, 4);
  for (const path of paths) assert.match(path, /^\/run\/containerd\/s\/[0-9a-f]{32}$/);
  assert.equal(paths[0], "/run/containerd/s/e59f68a93a0ca541b437a9a13c75501a");
});
