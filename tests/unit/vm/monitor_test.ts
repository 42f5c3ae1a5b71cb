import assert from "node:assert/strict";
import { Scope } from "../../support/scope.ts";
import { lines } from "../../support/streams.ts";
import { askMonitor } from "../../vm/monitor.ts";
import { Stopwatch } from "../../support/busy.ts";

/** Stands for QEMU: greets, and answers each command with these lines. */
async function listen(scope: Scope, answer: (command: string) => unknown[]) {
  const path = `${await scope.temporaryDirectory("monitor")}/socket`;
  const listener = Deno.listen({ transport: "unix", path });
  const seen: string[] = [];
  const serving = (async () => {
    for await (const connection of listener) {
      const say = (it: unknown) =>
        connection.write(new TextEncoder().encode(`${JSON.stringify(it)}\n`));
      await say({ QMP: { version: {} } });
      for await (const line of lines(connection.readable)) {
        seen.push(line);
        for (const it of answer(JSON.parse(line).execute)) await say(it);
      }
    }
  })();
  scope.defer("end the server", async () => {
    listener.close();
    await serving;
  });
  return { path, seen };
}

Deno.test("commands are done in their order; events are no answers", async () => {
  await using scope = new Scope();
  const { path, seen } = await listen(scope, (command) => [
    { event: "RESET", data: {} },
    { return: command === "query" ? "text" : {} },
  ]);
  const query = { execute: "query", arguments: { a: 1 } };
  assert.deepEqual(await askMonitor(path, [{ execute: "system_reset" }, query]), [{}, "text"]);
  assert.deepEqual(seen.map((it) => JSON.parse(it)), [
    { execute: "qmp_capabilities" },
    { execute: "system_reset" },
    query,
  ]);
});

Deno.test("what the monitor refuses is an error with its words", async () => {
  await using scope = new Scope();
  const { path } = await listen(scope, (command) => [
    command === "fly" ? { error: { class: "CommandNotFound", desc: "no wings" } } : { return: {} },
  ]);
  await assert.rejects(
    askMonitor(path, [{ execute: "fly" }]),
    /socket for .*, fly: fly: no wings$/,
  );
});

Deno.test("a monitor that is silent is not waited for", async () => {
  await using scope = new Scope();
  const { path } = await listen(scope, () => []);
  const watch = new Stopwatch();
  await assert.rejects(
    askMonitor(path, [{ execute: "system_reset" }], 0.2),
    /for qmp_capabilities, system_reset: no answer within 0.2 s$/,
  );
  watch.assertWithin(10_000, "the question");
});
