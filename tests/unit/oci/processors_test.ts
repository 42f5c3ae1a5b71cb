import assert from "node:assert/strict";
import { processorLimit } from "../../../lib/oci/processors.ts";
import { parseSpec } from "../../../lib/oci/parse.ts";

function limitOf(resources: unknown): number | undefined {
  const spec = parseSpec(JSON.stringify({
    ociVersion: "1.2.0",
    root: { path: "rootfs" },
    process: { user: { uid: 0, gid: 0 }, args: ["x"], cwd: "/" },
    linux: { namespaces: [{ type: "mount" }], resources },
  }));
  return processorLimit(spec.linux.resources);
}

const cases: [name: string, resources: unknown, limit: number | undefined][] = [
  ["nothing", {}, undefined],
  ["half a processor", { cpu: { quota: 50_000, period: 100_000 } }, 1],
  ["one and a half", { cpu: { quota: 150_000, period: 100_000 } }, 2],
  ["exactly two", { cpu: { quota: 20_000, period: 10_000 } }, 2],
  ["the kernel's own period", { cpu: { quota: 300_000 } }, 3],
  ["no limit by a quota below 0", { cpu: { quota: -1, period: 100_000 } }, undefined],
  ["a period alone", { cpu: { period: 100_000 } }, undefined],
  ["shares, which limit nothing", { cpu: { shares: 2048 } }, undefined],
  ["a set", { cpu: { cpus: "0-3,7" } }, 5],
  ["a set that overlaps itself", { cpu: { cpus: "1,0-1" } }, 2],
  ["a set and a quota", { cpu: { cpus: "0-3", quota: 200_000, period: 100_000 } }, 2],
  ["a quota and a smaller set", { cpu: { cpus: "3", quota: 200_000, period: 100_000 } }, 1],
  ["cgroup v2's own key", { unified: { "cpu.max": "250000 100000" } }, 3],
  ["cgroup v2's own key over the other", {
    cpu: { quota: 100_000, period: 100_000 },
    unified: { "cpu.max": "max 100000" },
  }, undefined],
  // Infinity / Infinity is not a number.
  ["what is not a quota", { unified: { "cpu.max": "Infinity Infinity" } }, undefined],
  ["more than a number holds", {
    unified: { "cpu.max": `${"9".repeat(400)} ${"9".repeat(400)}` },
  }, undefined],
  ["cgroup v2's own set", { cpu: { cpus: "0-7" }, unified: { "cpuset.cpus": "1-2" } }, 2],
];

for (const [name, resources, limit] of cases) {
  Deno.test(`the processors of ${name}`, () => assert.equal(limitOf(resources), limit));
}
