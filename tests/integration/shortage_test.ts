/**
 * A machine that runs out of descriptors, space or memory at any step of a container's creation, and at
 * any moment of its start: the error says what, where and what can be done, and nothing is left.
 */
import assert from "node:assert/strict";
import { errnoBinary, INJECTED, SHORTAGES } from "../support/errno.ts";
import { doubleConfiguration } from "../support/double.ts";
import { RUN_PREFIX } from "../support/mark.ts";
import { isAlive, run } from "../support/process.ts";
import {
  assertNothingLeft,
  assertSucceeded,
  type Container,
  doubleContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { uruncBinary } from "../support/urunc.ts";
import { makePair } from "./network_support.ts";

const needs = ["root", "gcc", "ip", "tc"];

/** Fewer steps than these would mean that the switch does not work; more, that this never ends. */
const STEPS = { command: [8, 30], namespaces: [3, 20], launch: [30, 100] } as const;

/** What each error has to say besides its name. */
const REMEDY: Record<(typeof SHORTAGES)[number], RegExp> = {
  EMFILE: /ulimit -n/,
  ENOSPC: /free space and inodes/,
  ENOMEM: /free memory/,
};

for (const phase of ["command", "namespaces", "launch"] as const) {
  testIf(
    `no descriptor, space or memory after any step of the ${phase}: an error, and nothing left`,
    {
      needs,
      timeoutSeconds: 240,
    },
    async () => {
      await using scope = new Scope();
      const binary = await errnoBinary(scope);
      const config = await doubleConfiguration(scope, 'accelerator = "tcg"');
      const { container: network } = await makePair(scope);
      const types = ["pid", "ipc", "uts", "mount", "cgroup"].map((type) => ({ type }));
      const container = await doubleContainer(scope, "idle", {
        binary,
        config,
        cgroupsPath: `/${RUN_PREFIX}shortage-${phase}/one`,
        namespaces: [...types, { type: "network", path: `/run/netns/${network.name}` }],
      });
      const before = await network.snapshot();
      const [least, most] = STEPS[phase];
      let index = 0;
      for (; index < most; index++) {
        const failed: boolean[] = [];
        for (const code of shortagesAfter(phase, index)) {
          const fault = `${phase}:${index}:${code}`;
          const { code: exit, stderr } = await container.create({ env: { URUNC_ERRNO: fault } });
          failed.push(exit !== 0);
          if (exit === 0) break;
          assert.equal(exit, 1, `${fault}: ${stderr}`);
          const where = phase === "command"
            ? /create container/
            : /launch container: .* step \d+ \(/;
          for (const part of [where, new RegExp(`${INJECTED} .*${code}`), REMEDY[code]]) {
            assert.match(stderr, part, fault);
          }
          assertNothingLeft(container);
          assert.equal(await network.snapshot(), before, fault);
        }
        if (failed[0]) continue;
        // There is no such step.
        assertSucceeded(await container.delete("--force"), "delete");
        break;
      }
      assert.ok(index >= least && index < most, `${index} steps were reached`);
    },
  );
}

/**
 * What is missing after a step. In the longest phase one thing after the other, unless the environment has
 * URUNC_EVERY_SHORTAGE: it is the same code that deals with all.
 */
function shortagesAfter(phase: string, index: number): readonly (typeof SHORTAGES)[number][] {
  if (phase !== "launch" || Deno.env.has("URUNC_EVERY_SHORTAGE")) return SHORTAGES;
  return [SHORTAGES[index % SHORTAGES.length]!];
}

/** Beyond those that the program needs to boot, so many are more than any command uses. */
const ENOUGH = 16;

testIf("few descriptors: create and start fail with the reason, and nothing runs on", {
  needs,
  timeoutSeconds: 240,
}, async () => {
  await using scope = new Scope();
  const { container: network } = await makePair(scope);
  const types = ["pid", "ipc", "uts", "mount"].map((type) => ({ type }));
  const container = await doubleContainer(scope, "idle", {
    namespaces: [...types, { type: "network", path: `/run/netns/${network.name}` }],
  });
  const before = await network.snapshot();
  const [least, most] = [await bootLimit(container), ENOUGH];
  const outcomes = new Set<string>();
  for (let more = 0; more <= most; more++) {
    for (const verb of ["create", "start"] as const) {
      if (verb === "start") await container.mustCreate();
      const { code, stderr } = await limited(container, least + more, verb);
      outcomes.add(`${verb} ${code === 0}`);
      if (code !== 0) {
        // Whatever Deno itself says where it cannot go on.
        if (stderr.includes("level=error")) assert.match(stderr, /EMFILE|Too many open files/);
        if (verb === "create" && stderr.includes("level=error")) assertNothingLeft(container);
        if (verb === "start") assert.match((await container.state()).status, /^(created|stopped)$/);
      }
      assertSucceeded(await container.delete("--force"), `delete after ${verb}`);
      assertNothingLeft(container);
      assert.equal(await network.snapshot(), before, `${verb} with ${least + more}`);
    }
  }
  const expected = ["create false", "create true", "start false", "start true"];
  assert.deepEqual([...outcomes].sort(), expected);
});

testIf("no space for the state of a start: the monitor does not run on", {
  needs: ["root", "gcc"],
}, async () => {
  await using scope = new Scope();
  const place = await scope.temporaryDirectory("place");
  await run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", place], { check: true });
  scope.defer("unmount the place", () => run(["umount", place], { check: true }));
  const container = await doubleContainer(scope, "idle", { root: `${place}/state` });
  const pid = await container.mustCreate();
  // As much as there is, and it fails.
  await run(["dd", "if=/dev/zero", `of=${place}/full`, "bs=4k"]);
  const { code, stderr } = await container.start();
  assert.equal(code, 1, stderr);
  assert.match(stderr, /start container .*: .*No space left.*\(free space and inodes/i);
  await container.waitForStatus("stopped");
  assert.ok(!isAlive(pid));
  assertSucceeded(await container.delete("--force"), "delete");
  assertNothingLeft(container, pid);
});

/** The fewest descriptors with which the program boots. */
async function bootLimit(container: Container): Promise<number> {
  for (let limit = 8;; limit++) {
    if ((await limited(container, limit, "list")).code === 0) return limit;
  }
}

async function limited(container: Container, limit: number, verb: "create" | "start" | "list") {
  const wrapper = ["sh", "-c", 'ulimit -n "$0" && exec "$@"', `${limit}`];
  if (verb === "create") return await container.create({ wrapper });
  const args = verb === "list" ? [verb] : [verb, container.id];
  return await run([...wrapper, await uruncBinary(), "--root", container.root, ...args]);
}
