import assert from "node:assert/strict";
import { observeContainer } from "../../../lib/container/observe.ts";
import type { ContainerState } from "../../../lib/container/state.ts";
import { readProcessStat } from "../../../lib/os/process.ts";
import { STATE } from "./_state.ts";
import { readFileIdentity } from "../../../lib/os/files.ts";

/** This process stands for init, and no process has the start time 0. */
const CREATED: ContainerState = {
  ...STATE,
  pid: Deno.pid,
  pidStartTime: readProcessStat(Deno.pid)?.startTime,
  initExecutable: readFileIdentity(`/proc/${Deno.pid}/exe`),
  cgroupPaths: [],
};
const CREATING: ContainerState = {
  ...CREATED,
  phase: "creating",
  creatorPid: Deno.pid,
  creatorStartTime: CREATED.pidStartTime,
};
const ABANDONED: ContainerState = { ...CREATING, creatorStartTime: "0" };
const ENDED: ContainerState = { ...CREATED, pidStartTime: "0" };

const CASES: [what: string, states: (ContainerState | undefined)[], status: string | undefined][] =
  [
    ["what is being created", [CREATING], "creating"],
    ["what was created", [CREATED], "created"],
    ["what has ended", [ENDED], "stopped"],
    ["a creator that was killed", [ABANDONED, ABANDONED], "stopped"],
    ["a creator that was done after the state was read", [ABANDONED, CREATED], "created"],
    ["a creator that undid everything after the state was read", [ABANDONED, undefined], undefined],
    ["another container with the id, after the state was read", [ABANDONED, CREATING], "creating"],
    ["nothing", [undefined], undefined],
  ];

for (const [what, states, status] of CASES) {
  Deno.test(`observeContainer: ${what}`, () => {
    const left = [...states];
    const observation = observeContainer({ readState: () => left.shift() });
    assert.equal(observation?.status, status);
    assert.deepEqual(left, [], "every state was read");
    if (observation !== undefined) assert.equal(observation.state, states.at(-1));
  });
}
