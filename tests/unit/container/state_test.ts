import assert from "node:assert/strict";
import { formatState, ociState, parseState } from "../../../lib/container/state.ts";
import { STATE } from "./_state.ts";

Deno.test("a state is read as it was written", () => {
  const read = parseState(formatState(STATE), "state.json");
  // Through JSON, where a field that is undefined is one that is not there.
  assert.deepEqual(JSON.parse(formatState(read)), JSON.parse(formatState(STATE)));
});

const DAMAGED: [string, string, RegExp][] = [
  ["nothing", "", /it is not JSON/],
  ["half a file", formatState(STATE).slice(0, 50), /it is not JSON/],
  ["a list", "[]", /found an array, allowed: an object/],
  ["null", "null", /found null, allowed: an object/],
  ["another version", JSON.stringify({ ...STATE, version: 2 }), /version 2, this urunc reads 1/],
  ["a negative pid", JSON.stringify({ ...STATE, pid: -1 }), /pid/],
  ["pid 0", JSON.stringify({ ...STATE, pid: 0 }), /pid/],
  ["an unknown phase", JSON.stringify({ ...STATE, phase: "paused" }), /phase/],
  ["a relative cgroup", JSON.stringify({ ...STATE, cgroupPaths: ["x"] }), /cgroupPaths\[0\]/],
  ["a damaged timeline", JSON.stringify({ ...STATE, timeline: { create: [] } }), /timeline/],
  ["a version of any length", JSON.stringify({ ...STATE, version: "x".repeat(9000) }), /x{60}…/],
  ["no hooks", JSON.stringify({ ...STATE, hooks: undefined }), /hooks/],
];

for (const [what, text, message] of DAMAGED) {
  Deno.test(`a state file with ${what} is refused, with its path and a remedy`, () => {
    assert.throws(() => parseState(text, "/run/urunc/one/state.json"), (error: Error) => {
      assert.match(error.message, message);
      assert.match(error.message, /\/run\/urunc\/one\/state\.json/);
      assert.match(error.message, /delete --force/);
      return true;
    });
  });
}

Deno.test("the specification's state has the pid of a live container only", () => {
  assert.deepEqual(ociState(STATE, "created"), {
    ociVersion: "1.2.0",
    id: "one",
    status: "created",
    pid: 42,
    bundle: "/bundle",
    annotations: { key: "value" },
  });
  assert.equal("pid" in ociState(STATE, "stopped"), false);
});

Deno.test("a kernel of the node is an annotation, and no image can forge one", () => {
  const kernel = { name: "debian", sha256: "ab" };
  const annotationsOf = (changes: Partial<typeof STATE>) =>
    ociState({ ...STATE, ...changes }, "running").annotations;
  assert.equal(annotationsOf({ kernel })!["com.urunc.kernel"], "debian sha256:ab");
  const forged = { annotations: { "com.urunc.kernel": "other" } };
  assert.deepEqual(annotationsOf(forged), {});
});

Deno.test("a guest with an agent is known by an annotation, which no image can forge", () => {
  const annotations = { "com.urunc.agent": "serial" };
  const found = ociState({ ...STATE, annotations, stop: { agent: true } }, "running").annotations;
  assert.deepEqual(found, { "com.urunc.agent": "on" });
  assert.deepEqual(ociState({ ...STATE, annotations }, "running").annotations, {});
});

Deno.test("the verified identity is an annotation, added to the container's own", () => {
  const { annotations } = ociState({ ...STATE, identity: "Uid=1" }, "running");
  assert.deepEqual(annotations, { key: "value", "com.urunc.identity": "Uid=1" });
});
