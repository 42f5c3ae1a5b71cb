import assert from "node:assert/strict";
import { Scope } from "../../support/scope.ts";
import { inAnotherNode, NodeHalted, watchForHalt } from "../../vm/watch.ts";
import { Stopwatch } from "../../support/busy.ts";

/** Stands for the emulator. */
function spawn(scope: Scope, script: string): number {
  const child = new Deno.Command("sh", { args: ["-c", script], stdout: "null" }).spawn();
  scope.defer("end the process", async () => {
    try {
      child.kill("SIGKILL");
    } catch { /* it has ended */ }
    await child.status;
  });
  return child.pid;
}

/** Accepts as an emulator does, whatever goes on in the machine; `greeting` is the machine's. */
function listen(scope: Scope, greeting?: string): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connections: Deno.Conn[] = [];
  const serving = (async () => {
    for await (const connection of listener) {
      connections.push(connection);
      if (greeting !== undefined) {
        await connection.write(new TextEncoder().encode(greeting)).catch(() => {});
      }
    }
  })();
  scope.defer("end the server", async () => {
    listener.close();
    await serving;
    for (const connection of connections) connection.close();
  });
  return (listener.addr as Deno.NetAddr).port;
}

/** What the watch said within so many seconds, and otherwise when it was asked to end. */
async function watchFor(
  seconds: number,
  pid: number,
  port: number,
  more: { consoleFile?: string; deafSeconds?: number } = {},
) {
  const end = new AbortController();
  const timer = setTimeout(() => end.abort(), seconds * 1000);
  const watched = { pid, port, consoleFile: "/dev/null", silentSeconds: 1, ...more };
  const seen = await watchForHalt(watched, end.signal);
  clearTimeout(timer);
  return seen;
}

Deno.test("a machine that neither answers nor computes has halted", async () => {
  await using scope = new Scope();
  const seen = await watchFor(20, spawn(scope, "exec sleep 60"), listen(scope));
  assert.match(seen ?? "nothing", /^no ssh and no work of its processors for \d+ s$/);
});

Deno.test("a machine that computes is only slow", async () => {
  await using scope = new Scope();
  assert.equal(await watchFor(3, spawn(scope, "while :; do :; done"), listen(scope)), undefined);
});

Deno.test("a machine that computes for minutes and does not answer has halted", async () => {
  await using scope = new Scope();
  const pid = spawn(scope, "while :; do :; done");
  const seen = await watchFor(60, pid, listen(scope), { deafSeconds: 2 });
  assert.match(seen ?? "nothing", /^no ssh while its emulator used \d+ s of processors$/);
});

Deno.test("a machine whose kernel says that it panics has halted, whatever else is seen", async () => {
  await using scope = new Scope();
  const consoleFile = `${await scope.temporaryDirectory("console")}/console.log`;
  const panic = "[ 241.5] Kernel panic - not syncing: corrupted stack end detected";
  await Deno.writeTextFile(consoleFile, `node: ready\r\n${panic}\r\n[ 241.6] CPU: 0\r\n`);
  const port = listen(scope, "SSH-2.0-a\r\n");
  const seen = await watchFor(20, spawn(scope, "while :; do :; done"), port, { consoleFile });
  assert.equal(seen, panic);
});

Deno.test("a machine that answers is only idle", async () => {
  await using scope = new Scope();
  const port = listen(scope, "SSH-2.0-a\r\n");
  assert.equal(await watchFor(3, spawn(scope, "exec sleep 60"), port), undefined);
});

Deno.test("a machine that ended has not halted", async () => {
  await using scope = new Scope();
  const watch = new Stopwatch();
  assert.equal(await watchFor(20, spawn(scope, "exec sleep 0.3"), listen(scope)), undefined);
  watch.assertWithin(10_000, "the end of the machine");
});

Deno.test("what a halt interrupted is tried again, and said", async () => {
  const said: string[] = [];
  let attempts = 0;
  const halting = (times: number) => () => {
    attempts++;
    return attempts <= times ? Promise.reject(new NodeHalted("it\nhalted")) : Promise.resolve(7);
  };
  const say = (line: string) => said.push(line);

  assert.equal(await inAnotherNode(halting(1), say), 7);
  assert.equal(attempts, 2);
  assert.deepEqual(said, ["A NODE HALTED: it | halted; booting another (1 of 3)"]);

  attempts = 0;
  assert.equal(await inAnotherNode(halting(3), say), 7);
  assert.equal(attempts, 4);
  attempts = 0;
  await assert.rejects(inAnotherNode(halting(4), say), NodeHalted);
  assert.equal(attempts, 4);
});

Deno.test("any other failure is final", async () => {
  let attempts = 0;
  const fail = () => {
    attempts++;
    return Promise.reject(new Error("a test failed"));
  };
  await assert.rejects(inAnotherNode(fail, () => {}), /a test failed/);
  assert.equal(attempts, 1);
});
