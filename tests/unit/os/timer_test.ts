import assert from "node:assert/strict";
import { after, delay } from "../../../lib/os/timer.ts";
import { run } from "../../support/process.ts";

Deno.test("timer: calls when the time has come", async () => {
  const start = performance.now();
  await new Promise<void>((resolve) => after(30, resolve));
  assert.ok(performance.now() - start >= 29);
});

Deno.test("timer: one that was cancelled does not call", async () => {
  let called = false;
  after(5, () => called = true).cancel();
  await delay(30);
  assert.equal(called, false);
});

Deno.test("timer: a process waits for it, though nothing else refers to it", async () => {
  const module = new URL("../../../lib/os/timer.ts", import.meta.url).href;
  const script = `
    import { after, delay } from ${JSON.stringify(module)};
    after(60, () => console.log("called"));
    gc();
    delay(20).then(() => gc());`;
  const argv = [Deno.execPath(), "run", "--no-lock", "--v8-flags=--expose-gc", "-"];
  const { stdout } = await run(argv, { stdin: script, timeoutSeconds: 30, check: true });
  assert.equal(stdout, "called\n");
});
