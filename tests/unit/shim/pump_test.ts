import assert from "node:assert/strict";
import {
  close,
  LinuxError,
  O_RDONLY,
  open,
  pipe,
  read,
  setNonblock,
  write,
} from "../../../ffi/linux.ts";
import { Reactor } from "../../../lib/shim/daemon/reactor.ts";
import { Pump } from "../../../lib/shim/stdio/pump.ts";

const tick = () => new Promise((resolve) => setTimeout(resolve, 1));

Deno.test("a pump copies everything, however slow the taker, and ends with its source", async () => {
  const reactor = new Reactor();
  const [fromReader, fromWriter] = pipe();
  const [toReader, toWriter] = pipe();
  setNonblock(fromWriter, true);
  setNonblock(toReader, true);
  const pump = new Pump(reactor, fromReader, toWriter);
  const data = crypto.getRandomValues(new Uint8Array(60_000));
  const total = 20 * data.length;
  const taken = new Uint8Array(total);
  let [given, filled, most] = [0, 0, 0];
  for (let turn = 0; filled < total; turn++) {
    // The source gives whatever is taken, the taker takes a little now and then.
    while (given < total) {
      const at = given % data.length;
      const count = tried(() => write(fromWriter, data.subarray(at)));
      if (count === 0) break;
      given += count;
    }
    if (given === total) given = finish();
    if (turn % 3 === 0) {
      filled += tried(() => read(toReader, taken.subarray(filled, filled + 30_000)));
    }
    most = Math.max(most, Math.min(given, total) - filled);
    await tick();
  }
  await pump.ended;
  assert.equal(pump.copied, total);
  for (let at = 0; at < total; at += data.length) {
    assert.deepEqual(taken.subarray(at, at + data.length), data);
  }
  // Two pipes and the buffer between them.
  assert.ok(most <= 3 * 65536, `${most} bytes were under way`);
  for (const fd of [fromReader, toReader, toWriter]) close(fd);

  function finish(): number {
    close(fromWriter);
    return total + 1;
  }
});

function tried(call: () => number): number {
  try {
    return call();
  } catch (error) {
    if (error instanceof LinuxError && error.code === "EAGAIN") return 0;
    throw error;
  }
}

Deno.test("a pump whose taker is gone ends", async () => {
  const reactor = new Reactor();
  const [fromReader, fromWriter] = pipe();
  const [toReader, toWriter] = pipe();
  const pump = new Pump(reactor, fromReader, toWriter);
  close(toReader);
  write(fromWriter, new Uint8Array(10));
  await pump.ended;
  assert.equal(pump.copied, 0);
  for (const fd of [fromReader, fromWriter, toWriter]) close(fd);
});

Deno.test("a pump whose taker can take nothing, for whatever reason, ends", async () => {
  const [fromReader, fromWriter] = pipe();
  // EBADF: it is open for reading only.
  const taker = open("/dev/null", O_RDONLY);
  const pump = new Pump(new Reactor(), fromReader, taker);
  write(fromWriter, new Uint8Array(10));
  await pump.ended;
  assert.equal(pump.copied, 0);
  for (const fd of [fromReader, fromWriter, taker]) close(fd);
});

Deno.test("a stopped pump ends, and leaves what it did not read", async () => {
  const reactor = new Reactor();
  const [fromReader, fromWriter] = pipe();
  const [toReader, toWriter] = pipe();
  const pump = new Pump(reactor, fromReader, toWriter);
  pump.stop();
  await pump.ended;
  write(fromWriter, new Uint8Array([7]));
  assert.equal(read(fromReader, new Uint8Array(10)), 1);
  for (const fd of [fromReader, fromWriter, toReader, toWriter]) close(fd);
});
