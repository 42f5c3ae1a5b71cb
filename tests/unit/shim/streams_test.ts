import assert from "node:assert/strict";
import {
  close,
  O_NONBLOCK,
  O_RDONLY,
  open,
  read,
  setNonblock,
  SOCK_STREAM,
  socketpair,
  unlessItWaits,
  writeAll,
} from "../../../ffi/linux.ts";
import { Reactor } from "../../../lib/shim/daemon/reactor.ts";
import { awaitReaders } from "../../../lib/shim/stdio/streams.ts";
import { openStdio } from "../../../lib/shim/stdio/task_stdio.ts";
import { Reaper } from "../../../lib/shim/daemon/reaper.ts";
import { run } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { Stopwatch } from "../../support/busy.ts";

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
  const watch = new Stopwatch();
  assert.deepEqual(await awaitReaders([path, path]), []);
  watch.assertWithin(3000, "the wait");
  assert.ok(watch.milliseconds() > 900);
});

Deno.test("what is not a fifo is not waited for", async () => {
  assert.deepEqual(await awaitReaders(["", "/dev/null", "/no/such/file", "file:///x"]), []);
});

/** A terminal's two sides, the master joined with these files; a socket fills up as a terminal does. */
async function terminal(scope: Scope, stdin: string) {
  const stdout = await fifo(scope);
  const output = open(stdout, O_RDONLY | O_NONBLOCK);
  const reactor = new Reactor();
  const services = { namespace: "ns", reactor, reaper: new Reaper(reactor), log: { warning() {} } };
  const io = { stdin, stdout, stderr: "", terminal: true };
  const stdio = await openStdio(services, "box", io);
  const [master, guest] = socketpair(SOCK_STREAM);
  setNonblock(guest, true);
  scope.defer("close the terminal", () => {
    stdio.close();
    [guest, output].forEach(close);
  });
  stdio.attachTerminal(master);
  return { guest, output };
}

/** Reads so many bytes of what comes; fewer when nothing more does within some seconds. */
async function take(fd: number, bytes: number): Promise<Uint8Array> {
  const taken = new Uint8Array(bytes);
  const deadline = performance.now() + 5000;
  for (let filled = 0; filled < bytes;) {
    const count = unlessItWaits(() => read(fd, taken.subarray(filled)));
    if (count === 0 || performance.now() > deadline) return taken.subarray(0, filled);
    if (count === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
    filled += count ?? 0;
  }
  return taken;
}

/** More than a socket, a pipe and a buffer hold. */
const MUCH = crypto.getRandomValues(new Uint8Array(65_536));
const TIMES = 16;

Deno.test("a guest that does not read its terminal for a while loses nothing", async () => {
  await using scope = new Scope();
  const stdin = await fifo(scope);
  const child = new Deno.Command("sh", { args: ["-c", 'cat >"$0"', stdin], stdin: "piped" })
    .spawn();
  scope.defer("end the writer", () => child.status);
  const input = child.stdin.getWriter();
  void input.write(repeated(MUCH, TIMES)).then(() => input.close()).catch(() => {});
  const { guest, output } = await terminal(scope, stdin);
  await new Promise((resolve) => setTimeout(resolve, 200));
  // What it says goes on meanwhile.
  writeAll(guest, new TextEncoder().encode("busy"));
  assert.equal(new TextDecoder().decode(await take(output, 4)), "busy");
  const taken = await take(guest, MUCH.length * TIMES);
  assert.ok(equals(taken, repeated(MUCH, TIMES)), `${taken.length} bytes`);
});

Deno.test("a terminal's input may come from a file, or from nothing", async () => {
  await using scope = new Scope();
  const file = `${await scope.temporaryDirectory("input")}/input`;
  await Deno.writeFile(file, repeated(MUCH, TIMES));
  for (const [stdin, bytes] of [[file, repeated(MUCH, TIMES)], ["/dev/null", new Uint8Array()]]) {
    const { guest, output } = await terminal(scope, stdin as string);
    writeAll(guest, new TextEncoder().encode("busy"));
    assert.equal(new TextDecoder().decode(await take(output, 4)), "busy");
    const taken = await take(guest, bytes!.length);
    assert.ok(equals(taken, bytes as Uint8Array), `${taken.length} bytes of ${stdin}`);
    // And goes on when the input has ended.
    writeAll(guest, new TextEncoder().encode("more"));
    assert.equal(new TextDecoder().decode(await take(output, 4)), "more");
  }
});

function repeated(bytes: Uint8Array, times: number): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(bytes.length * times);
  for (let at = 0; at < all.length; at += bytes.length) all.set(bytes, at);
  return all;
}

function equals(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
