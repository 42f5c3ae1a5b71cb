/** state.json, as another version, a full disk or an attacker may have left it; a shim's record. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { formatTimeline, formatTrace } from "../../../lib/cli/timeline.ts";
import { recoverState } from "../../../lib/container/recover.ts";
import {
  type ContainerState,
  formatState,
  ociState,
  parseState,
} from "../../../lib/container/state.ts";
import { parseRecord } from "../../../lib/shim/command/record.ts";
import { STATE } from "../../unit/container/_state.ts";
import { hostileJsonText } from "../json.ts";
import { parsed, target } from "../target.ts";

const FULL: ContainerState = {
  ...STATE,
  rootfs: "/bundle/rootfs",
  creatorPid: 7,
  creatorStartTime: "1",
  systemdUnit: "urunc-one.scope",
  network: {
    namespacePath: "/run/netns/x",
    namespace: { dev: 1, ino: 2 },
    tap: "tap0_urunc",
    interface: "eth0",
    further: [{ tap: "tap1_urunc", interface: "eth1" }],
    routed: { forwarding: true },
  },
  memoryBytes: 2 ** 30,
  vcpus: 2,
  identity: "uid=1",
  stop: { asking: "button" },
  timeline: {
    create: { pid: 1, began: 1.5, phases: [["boot", 1], ["namespaces", 2], ["launch", 3]] },
    init: { namespaces: { pid: 2, began: 1.5, phases: [["setsid", 1]] } },
    start: { pid: 3, began: 2.5, phases: [["exec", 1]] },
  },
};

const text = fc.string({ unit: "grapheme", maxLength: 20 }).filter((it) => !it.includes("\0"));

export const STATES = [
  target({
    name: "state.json",
    weight: 8,
    inputs: hostileJsonText(FULL),
    check(json) {
      const state = parsed(() => parseState(json, "/run/urunc/one/state.json"));
      if (state === undefined) return;
      ociState(state, "running");
      if (state.timeline !== undefined) {
        formatTimeline(state.timeline);
        formatTrace(state.id, state.timeline);
      }
    },
  }),
  target({
    name: "state.json, recovered",
    weight: 2,
    inputs: hostileJsonText(FULL),
    check(json) {
      const { pid, cgroupPaths, hooks } = recoverState("one", json);
      assert.ok(pid === undefined || pid > 0 && pid < 2 ** 31);
      assert.ok(cgroupPaths.every((it) => it.startsWith("/") && !it.split("/").includes("..")));
      assert.deepEqual(hooks, { poststart: [], poststop: [] });
    },
  }),
  target({
    name: "state.json, valid",
    weight: 2,
    inputs: fc.record({ id: text, identity: text, annotations: fc.dictionary(text, text) }),
    check(changes) {
      const state = { ...FULL, ...changes };
      const found = parseState(formatState(state), "state.json");
      assert.deepEqual(JSON.parse(JSON.stringify(found)), JSON.parse(JSON.stringify(state)));
    },
  }),
  target({
    name: "a shim's record",
    weight: 1,
    inputs: hostileJsonText({ version: 1, kind: "delegated", root: "/run/x", runtime: "runc" }),
    check: (json) => void parsed(() => parseRecord(json, "/bundle/urunc.task")),
  }),
];
