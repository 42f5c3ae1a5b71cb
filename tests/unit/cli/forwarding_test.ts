import assert from "node:assert/strict";
import { spawn, waitpidAsync } from "../../../ffi/linux.ts";
import { waitFor } from "../../support/process.ts";
import { Forwarding } from "../../../lib/cli/forwarding.ts";

const SIGUSR1 = 10;

Deno.test("a signal is passed on to a child, and to nobody when that was waited for", async () => {
  const pid = spawn({ path: "/bin/sleep", argv: ["sleep", "1000"], env: [], fds: [] });
  using forwarding = new Forwarding(pid, ["SIGUSR1", "SIGUSR2"]);
  Deno.kill(Deno.pid, "SIGUSR1");
  const { signal, exitCode } = await waitpidAsync(pid);
  assert.deepEqual([signal, exitCode], [SIGUSR1, undefined]);
  let isLate = false;
  void forwarding.late.then(() => isLate = true);
  await Promise.resolve();
  assert.equal(isLate, false);
  Deno.kill(Deno.pid, "SIGUSR2");
  await waitFor(() => isLate, { timeoutSeconds: 5, what: "the second signal" });
});
