import assert from "node:assert/strict";
import { recoverState } from "../../../lib/container/recover.ts";

const UNITS: [told: unknown, believed: string | undefined][] = [
  ["docker-1.scope", "docker-1.scope"],
  // Everything in a unit is killed with it.
  ["system.slice", undefined],
  ["ssh.service", undefined],
  ["a' b.scope", undefined],
  [7, undefined],
  [undefined, undefined],
];

for (const [told, believed] of UNITS) {
  Deno.test(`of a damaged state the unit ${JSON.stringify(told)} is trusted: ${believed}`, () => {
    const { systemdUnit } = recoverState("one", JSON.stringify({ systemdUnit: told }));
    assert.equal(systemdUnit, believed);
  });
}

Deno.test("of a damaged state every tap that looks like ours is trusted", () => {
  const network = { namespacePath: "/run/netns/x", tap: "tap0_urunc", interface: "eth0" };
  const recovered = (further?: unknown) =>
    recoverState("one", JSON.stringify({ network: { ...network, further } })).network;
  assert.deepEqual(recovered(), { ...network, routed: undefined });
  const taken = { tap: "tap1_urunc", interface: "eth1" };
  assert.deepEqual(recovered([taken, { tap: 7 }, "x"])?.further, [taken]);
  assert.equal(recovered("x")?.further, undefined);
});
