import assert from "node:assert/strict";
import { close, EPOLLIN, pipe, read, write } from "../../../../ffi/linux.ts";
import { Reactor } from "../../../../lib/shim/daemon/reactor.ts";

const BYTE = new Uint8Array(1);

Deno.test("a handler that throws is reported and removed; the others stay", async () => {
  const failures: unknown[] = [];
  const reactor = new Reactor((error) => failures.push(error));
  const [badReader, badWriter] = pipe();
  const [goodReader, goodWriter] = pipe();
  const failure = new Error("cannot go on");
  reactor.add(badReader, EPOLLIN, () => {
    throw failure;
  });
  write(badWriter, BYTE);
  for (let round = 0; round < 3; round++) {
    const { promise, resolve } = Promise.withResolvers<void>();
    reactor.add(goodReader, EPOLLIN, () => {
      read(goodReader, BYTE);
      reactor.remove(goodReader);
      resolve();
    });
    write(goodWriter, BYTE);
    await promise;
  }
  assert.deepEqual(failures, [failure]);
  // Its former user does not know.
  reactor.remove(badReader);
  for (const fd of [badReader, badWriter, goodReader, goodWriter]) close(fd);
});

Deno.test("a handler may close its descriptor and throw", async () => {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const reactor = new Reactor(resolve);
  const [reader, writer] = pipe();
  reactor.add(reader, EPOLLIN, () => {
    close(reader);
    throw new Error("closed");
  });
  write(writer, BYTE);
  assert.match(`${await promise}`, /closed/);
  close(writer);
  // Its number is free for another.
  const [next, nextWriter] = pipe();
  const called = Promise.withResolvers<void>();
  reactor.add(next, EPOLLIN, () => {
    reactor.remove(next);
    called.resolve();
  });
  write(nextWriter, BYTE);
  await called.promise;
  for (const fd of [next, nextWriter]) close(fd);
});

Deno.test("what can be read, or has ended, is waited for once", async () => {
  const reactor = new Reactor();
  const [reader, writer] = pipe();
  const first = reactor.readable(reader);
  write(writer, BYTE);
  await first;
  // It was not read yet.
  await reactor.readable(reader);
  read(reader, BYTE);
  const last = reactor.readable(reader);
  close(writer);
  await last;
  close(reader);
});
