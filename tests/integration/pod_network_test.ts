/** Several containers in one network namespace, as in a pod: the monitor is the test double. */
import assert from "node:assert/strict";
import {
  assertFailed,
  assertNothingLeft,
  assertSucceeded,
  type Container,
  doubleContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { makePair, type Namespace } from "./network_support.ts";

const NEEDS = ["root", "gcc", "ip", "tc"];

/** A guest in a namespace that others may be in. */
async function guestIn(scope: Scope, namespace: Namespace): Promise<Container> {
  const types = ["pid", "ipc", "uts", "mount"].map((type) => ({ type }));
  return await doubleContainer(scope, "idle", {
    namespaces: [...types, { type: "network", path: `/run/netns/${namespace.name}` }],
  });
}

testIf("a second guest is refused, and the first keeps its network throughout", {
  needs: NEEDS,
  timeoutSeconds: 60,
}, async () => {
  await using scope = new Scope();
  const { container: namespace } = await makePair(scope);
  const before = await namespace.snapshot();
  const first = await guestIn(scope, namespace);
  const second = await guestIn(scope, namespace);

  const refused = async (when: string) => {
    const taken = await namespace.snapshot();
    assertFailed(await second.create(), [
      "tap0_urunc",
      "only one container with a guest can use a network namespace at a time",
    ]);
    assertNothingLeft(second);
    assert.equal(await namespace.snapshot(), taken, `${when}: the refusal undoes what is its own`);
  };
  const pid = await first.mustCreate();
  await refused("created");
  assertSucceeded(await first.start());
  // The double never attaches to the tap: as a monitor that was executed a moment ago.
  await refused("started");

  assertSucceeded(await first.delete("--force"));
  assertNothingLeft(first, pid);
  assert.equal(await namespace.snapshot(), before);
  await second.mustStart();
  assertSucceeded(await second.delete("--force"));
  assert.equal(await namespace.snapshot(), before);
});

testIf("a guest that ended makes room, and its late deletion takes nothing away", {
  needs: NEEDS,
  timeoutSeconds: 60,
}, async () => {
  await using scope = new Scope();
  const { container: namespace } = await makePair(scope);
  const before = await namespace.snapshot();
  const first = await guestIn(scope, namespace);
  const second = await guestIn(scope, namespace);
  await first.mustStart();
  assertSucceeded(await first.kill("KILL"));
  await first.waitForStatus("stopped");

  await second.mustStart();
  const taken = await namespace.snapshot();
  assertSucceeded(await first.delete());
  assert.equal(await namespace.snapshot(), taken);
  assertSucceeded(await second.delete("--force"));
  assert.equal(await namespace.snapshot(), before);
});
