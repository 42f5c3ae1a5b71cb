import assert from "node:assert/strict";
import { close, O_NONBLOCK, O_RDONLY, open, read, writeAll } from "../../../ffi/linux.ts";
import { Reactor } from "../../../lib/shim/reactor.ts";
import { awaitReaders } from "../../../lib/shim/stdio/streams.ts";
import { openStdio } from "../../../lib/shim/stdio/task_stdio.ts";
import { Reaper } from "../../../lib/shim/reaper.ts";
import { run } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";

async function fifo(scope: Scope): Promise<string> {
  const path = `${await scope.temporaryDirectory("fifo")}/fifo`;
  await run(["mkfifo", path], { check: true });
  return path;
}

Deno.test("standard files are opened when the client has opened its ends, and lose nothing", async () => {
  await using scope = new Scope();
  const stdout = await fifo(scope);
  const reactor = new Reactor();
  let isOpen = false;
  const opening = openStdio(
    { namespace: "ns", reactor, reaper: new Reaper(reactor), log: { warning() {} } },
    "box",
    { stdin: "", stdout, stderr: "", terminal: false },
  ).finally(() => isOpen = true);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(isOpen, false, "nobody reads yet");
  const reader = open(stdout, O_RDONLY | O_NONBLOCK);
  const stdio = await opening;
  writeAll(stdio.stdio[1], new TextEncoder().encode("said"));
  stdio.given();
  const buffer = new Uint8Array(16);
  assert.equal(new TextDecoder().decode(buffer.subarray(0, read(reader, buffer))), "said");
  assert.equal(read(reader, buffer), 0, "and it ends");
  close(reader);
  stdio.close();
});

Deno.test("a client that opens nothing is not waited for without end", async () => {
  await using scope = new Scope();
  const path = await fifo(scope);
  const started = performance.now();
  assert.deepEqual(await awaitReaders([path, path]), []);
  const milliseconds = performance.now() - started;
  assert.ok(milliseconds > 900 && milliseconds < 3000, `${milliseconds} ms`);
});

Deno.test("what is no fifo is not waited for", async () => {
  assert.deepEqual(await awaitReaders(["", "/dev/null", "/no/such/file", "file:///x"]), []);
});
