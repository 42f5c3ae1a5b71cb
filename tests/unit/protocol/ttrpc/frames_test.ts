import assert from "node:assert/strict";
import {
  type Frame,
  FrameReader,
  FrameWriter,
  MAXIMUM_PAYLOAD,
} from "../../../../lib/protocol/ttrpc/frames.ts";
import type { Connection } from "../../../../lib/protocol/ttrpc/transport.ts";
import { joined, Random } from "../../shim/_random.ts";
import { frame, pipe, writeAll } from "./_pipe.ts";

Deno.test("frames: the header is the one of the reference implementation", async () => {
  const [here, there] = pipe();
  await new FrameWriter(here).send(0x01020305, 1, 4, new Uint8Array([0xaa, 0xbb]));
  const bytes = new Uint8Array(64);
  const count = await there.read(bytes);
  assert.equal(bytes.subarray(0, count ?? 0).toHex(), "00000002010203050104aabb");
});

Deno.test("frames: come out as they went in, however the bytes are cut", async () => {
  const random = new Random(1);
  for (let round = 0; round < 50; round++) {
    const sent = Array.from({ length: 1 + random.below(8) }, (_, index) => ({
      streamId: index * 2 + 1,
      type: 1 + random.below(3),
      flags: random.below(8),
      payload: random.bytes(random.pick([0, 1, 9, 10, 11, 4085, 4086, 4087, 20_000])),
      isTooLarge: false,
    }));
    const bytes = joined(...sent.map((it) => frame(it.streamId, it.type, it.flags, it.payload)));
    assert.deepEqual(await readAll(cutUp(random, bytes)), sent);
  }
});

Deno.test("frames: the largest is accepted; a larger one is reported and skipped", async () => {
  const largest = new Uint8Array(MAXIMUM_PAYLOAD).fill(7);
  const [here, there] = pipe();
  const writing = (async () => {
    await writeAll(here, frame(1, 1, 0, largest));
    await writeAll(here, frame(3, 1, 0, new Uint8Array(MAXIMUM_PAYLOAD + 1)));
    await writeAll(here, frame(5, 1, 0, new Uint8Array([9])));
    here.closeWrite();
  })();
  const frames = await readAll(there);
  await writing;
  assert.deepEqual(frames.map((it) => [it.streamId, it.isTooLarge, it.payload.length]), [
    [1, false, MAXIMUM_PAYLOAD],
    [3, true, 0],
    [5, false, 1],
  ]);
  assert.deepEqual(frames[0]!.payload, largest);
});

Deno.test("frames: a frame that is too large is reported before its bytes arrive", async () => {
  const [here, there] = pipe();
  await writeAll(here, frame(1, 1, 0, new Uint8Array(), 0xffff_ffff));
  assert.equal((await new FrameReader(there).next())?.isTooLarge, true);
});

Deno.test("frames: a header alone takes no memory for what it announces", async () => {
  const sizes: number[] = [];
  const header = frame(1, 1, 0, new Uint8Array(), MAXIMUM_PAYLOAD);
  let reads = 0;
  const connection: Connection = {
    read(buffer) {
      sizes.push(buffer.length);
      if (reads++ > 0) return Promise.resolve(null);
      buffer.set(header);
      return Promise.resolve(header.length);
    },
    write: () => assert.fail("nothing is written"),
    close() {},
  };
  assert.equal(await new FrameReader(connection).next(), undefined);
  assert(Math.max(...sizes) <= 4096, `it reads into ${sizes}`);
});

for (const size of [0, 1, 9, 10, 11]) {
  Deno.test(`frames: an end after ${size} bytes of 12 is an end`, async () => {
    const bytes = frame(1, 1, 0, new Uint8Array(2)).subarray(0, size);
    assert.deepEqual(await readAll(cutUp(new Random(2), bytes)), []);
  });
}

Deno.test("frames: are written one after the other, by whomever", async () => {
  const [here, there] = pipe();
  const writer = new FrameWriter(here);
  const sends = Array.from(
    { length: 20 },
    (_, index) => writer.send(index, 2, 0, new Uint8Array(30_000).fill(index)),
  );
  assert(writer.pending > 500_000);
  const reader = new FrameReader(there);
  for (let index = 0; index < sends.length; index++) {
    const received = await reader.next();
    assert.equal(received?.streamId, index);
    assert(received.payload.every((it) => it === index));
  }
  await Promise.all(sends);
  await writer.drained();
  assert.equal(writer.pending, 0);
});

Deno.test("frames: when the connection breaks all writers get the error", async () => {
  const [here, there] = pipe();
  const writer = new FrameWriter(here);
  const sends = [1, 2, 3].map(() => writer.send(1, 2, 0, new Uint8Array(100_000)));
  there.close();
  for (const send of sends) await assert.rejects(send, Deno.errors.BrokenPipe);
  await assert.rejects(writer.drained(), Deno.errors.BrokenPipe);
});

async function readAll(connection: Connection): Promise<Frame[]> {
  const reader = new FrameReader(connection);
  const frames: Frame[] = [];
  for (let next; (next = await reader.next()) !== undefined;) frames.push(next);
  return frames;
}

/** A connection on which bytes come in pieces of random sizes. */
function cutUp(random: Random, bytes: Uint8Array): Connection {
  let at = 0;
  return {
    read(buffer) {
      if (at === bytes.length) return Promise.resolve(null);
      const size = 1 + random.below(random.pick([1, 10, 5000]));
      const piece = bytes.subarray(at, at + Math.min(size, buffer.length));
      buffer.set(piece);
      at += piece.length;
      return Promise.resolve(piece.length);
    },
    write: () => assert.fail("nothing is written"),
    close() {},
  };
}
