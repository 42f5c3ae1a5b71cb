/** kill -9 of the waiter, or of the monitor, at any time from `start` on: nothing is left. */
import assert from "node:assert/strict";
import { heldPidNamespace } from "../support/pid_namespace.ts";
import { childrenOf, isAlive, waitFor } from "../support/process.ts";
import { assertNothingLeft, assertSucceeded, doubleContainer } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const needs = ["root", "gcc", "unshare"];

/** From before the exec of the waiter until long after that of the monitor. */
const DELAYS = [0, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100];

for (const shared of [false, true]) {
  for (const victim of ["waiter", "monitor"] as const) {
    testIf(
      `kill -9 of the ${victim} at any time after start leaves nothing, its PID namespace ${
        shared ? "of others" : "its own"
      }`,
      { needs, timeoutSeconds: 120 },
      async () => {
        for (const delay of DELAYS) {
          await using scope = new Scope();
          const path = shared ? await heldPidNamespace(scope) : undefined;
          const others = ["mount", "ipc", "uts"].map((type) => ({ type }));
          const namespaces = [{ type: "pid", path }, ...others];
          const container = await doubleContainer(scope, "ignore 15; idle", { namespaces });
          const pid = await container.mustCreate();
          const started = container.start();
          await new Promise((resolve) => setTimeout(resolve, delay));
          const family = victim === "waiter" ? [pid] : await waitFor(
            () => childrenOf(pid).length > 0 ? childrenOf(pid) : undefined,
            { timeoutSeconds: 10, what: "the monitor" },
          );
          const before = [pid, ...childrenOf(pid)];
          Deno.kill(family[0]!, "SIGKILL");
          await started;
          await container.waitForStatus("stopped");
          assertSucceeded(await container.delete(), `delete after ${delay} ms`);
          for (const each of before) assert.ok(!isAlive(each), `${each} after ${delay} ms`);
          assertNothingLeft(container, pid);
        }
      },
    );
  }
}
