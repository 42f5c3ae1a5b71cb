import assert from "node:assert/strict";
import {
  planNamespaces,
  planPidNamespace,
  withJoinedHostname,
} from "../../../lib/plan/namespaces.ts";
import { specOf, stepsNamed } from "../../support/plan_inputs.ts";

Deno.test("namespaces", async (t) => {
  const OWN = ["ipc", "uts", "network", "mount"];
  await t.step("the monitor has its own mount namespace even if the spec lists none", () => {
    const spec = specOf({ linux: { namespaces: [] } });
    assert.deepEqual(stepsNamed(planNamespaces(spec).steps, "unshare")[0]?.namespaces, OWN);
  });
  await t.step("a named mount namespace is not entered: it may hold others' files", () => {
    const spec = specOf({ linux: { namespaces: [{ type: "mount", path: "/proc/1/ns/mnt" }] } });
    const { steps } = planNamespaces(spec);
    assert.deepEqual(stepsNamed(steps, "setns"), []);
    assert.deepEqual(stepsNamed(steps, "unshare")[0]?.namespaces, OWN);
  });
  await t.step("the hostname is set in a new namespace only", () => {
    const joined = specOf({ linux: { namespaces: [{ type: "uts", path: "/proc/1/ns/uts" }] } });
    assert.deepEqual(stepsNamed(planNamespaces(joined).steps, "hostname"), []);
    assert.equal(stepsNamed(planNamespaces(specOf()).steps, "hostname").length, 1);
  });
  await t.step("the name of a joined UTS namespace is the guest's", () => {
    const joined = (hostname: string) =>
      specOf({ hostname, linux: { namespaces: [{ type: "uts", path: "/proc/1/ns/uts" }] } });
    assert.equal(withJoinedHostname(joined(""), "pod-0").hostname, "pod-0");
    assert.equal(withJoinedHostname(joined("own"), "pod-0").hostname, "own");
    for (const name of ["(none)", "a:b", "", "x".repeat(65), undefined]) {
      assert.equal(withJoinedHostname(joined(""), name).hostname, undefined, name);
    }
    const fresh = specOf({ hostname: "" });
    assert.equal(withJoinedHostname(fresh, "of-the-host").hostname, undefined);
  });
  await t.step("the PID namespace is the creator's part", () => {
    assert.deepEqual(planPidNamespace(specOf()), { kind: "new" });
    assert.deepEqual(planPidNamespace(specOf({ linux: {} })), { kind: "new" });
    const path = "/proc/1/ns/pid";
    const joined = specOf({ linux: { namespaces: [{ type: "pid", path }] } });
    assert.deepEqual(planPidNamespace(joined), { kind: "join", path });
  });
});
