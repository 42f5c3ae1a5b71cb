import assert from "node:assert/strict";
import { lowestMemoryLimit, memoryLimits } from "../../../lib/oci/memory_limits.ts";
import { readUpdate } from "../../../lib/oci/parse_resources.ts";

const MIB = 1024 * 1024;
const MAX = 'unified["memory.max"]';
const HIGH = 'unified["memory.high"]';

type Case = [resources: unknown, limits: Record<string, number>, lowest: string | undefined];

const CASES: Case[] = [
  [{}, {}, undefined],
  [{ memory: { limit: 0 } }, {}, undefined],
  [{ memory: { limit: -1 } }, {}, undefined],
  [{ memory: { limit: 64 * MIB } }, { "memory.limit": 64 * MIB }, "memory.limit"],
  // Written after it, and so in its place: lower, higher, and none.
  [{ memory: { limit: 64 * MIB }, unified: { "memory.max": "32M" } }, { [MAX]: 32 * MIB }, MAX],
  [{ memory: { limit: 64 * MIB }, unified: { "memory.max": "1g" } }, { [MAX]: 1024 * MIB }, MAX],
  [{ memory: { limit: 64 * MIB }, unified: { "memory.max": "max" } }, {}, undefined],
  [{ unified: { "memory.max": "0" } }, { [MAX]: 0 }, MAX],
  [{ unified: { "memory.max": " 4096\n" } }, { [MAX]: 4096 }, MAX],
  [
    { memory: { limit: 64 * MIB }, unified: { "memory.high": "48M" } },
    { "memory.limit": 64 * MIB, [HIGH]: 48 * MIB },
    HIGH,
  ],
  [
    { memory: { limit: 64 * MIB }, unified: { "memory.high": "1T" } },
    { "memory.limit": 64 * MIB, [HIGH]: 1024 ** 4 },
    "memory.limit",
  ],
  // The kernel is to say what is wrong with it.
  [{ unified: { "memory.max": "much" } }, {}, undefined],
];

for (const [resources, limits, lowest] of CASES) {
  Deno.test(`memory limits of ${JSON.stringify(resources)}`, () => {
    const parsed = readUpdate(resources);
    assert.deepEqual(
      Object.fromEntries(memoryLimits(parsed).map(({ property, bytes }) => [property, bytes])),
      limits,
    );
    assert.equal(lowestMemoryLimit(parsed)?.property, lowest);
  });
}
