import assert from "node:assert/strict";
import { Request, Response } from "../../../../lib/protocol/ttrpc/messages.ts";
import { Client } from "../../../../lib/protocol/ttrpc/client.ts";
import { FrameReader, FrameType, MAXIMUM_PAYLOAD } from "../../../../lib/protocol/ttrpc/frames.ts";
import { Code } from "../../../../lib/protocol/ttrpc/status.ts";
import { connectUnix } from "../../../../lib/protocol/ttrpc/transport.ts";
import { frame, pipe, type PipeEnd, writeAll } from "./_pipe.ts";

const NOTHING = new Uint8Array();

Deno.test("client: asks as the reference implementation does", async () => {
  const { client, accepted } = listening();
  const call = client.call("a.Service", "Method", new Uint8Array([1, 2]), 1500);
  const server = await accepted();
  const bytes = new Uint8Array(100);
  const count = await server.read(bytes);
  const streamAndType = "000000010101";
  const request = "0a09612e53657276696365" + "12064d6574686f64" + "1a020102" + "2080dea0cb05";
  assert.equal(bytes.subarray(4, count!).toHex(), streamAndType + request);
  await answer(server, 1, { payload: new Uint8Array([9]) });
  assert.deepEqual(await call, new Uint8Array([9]));
  client.disconnect();
});

Deno.test("client: matches answers that come in another order", async () => {
  const { client, accepted } = listening();
  const calls = [1, 2, 3].map((it) => client.call("s", "m", new Uint8Array([it]), 5000));
  const server = await accepted();
  const reader = new FrameReader(server);
  const streams: number[] = [];
  for (const number of [1, 2, 3]) {
    const received = (await reader.next())!;
    assert.deepEqual(Request.decode(received.payload).payload, new Uint8Array([number]));
    streams.push(received.streamId);
  }
  assert.deepEqual(streams, [1, 3, 5]);
  for (const streamId of [5, 1, 3]) {
    await answer(server, streamId, { payload: new Uint8Array([streamId]) });
  }
  assert.deepEqual((await Promise.all(calls)).map(([it]) => it), [1, 3, 5]);
  client.disconnect();
});

Deno.test("client: throws the status of an answer", async () => {
  const { client, accepted } = listening();
  const call = client.call("s", "m", NOTHING, 5000);
  await answer(await accepted(), 1, { status: { code: 5, message: "no such task" } });
  await assert.rejects(call, { name: "RpcError", code: 5, message: "call s/m: no such task" });
  client.disconnect();
});

Deno.test("client: an answer that comes too late is ignored", async () => {
  const { client, accepted } = listening();
  await assert.rejects(client.call("s", "m", NOTHING, 10), { code: Code.deadlineExceeded });
  const call = client.call("s", "m", NOTHING, 5000);
  const server = await accepted();
  await answer(server, 1, { payload: new Uint8Array([1]) });
  await answer(server, 3, { payload: new Uint8Array([3]) });
  assert.deepEqual(await call, new Uint8Array([3]));
  client.disconnect();
});

const ENDS: { name: string; end: (server: PipeEnd) => Promise<void> | void }[] = [
  { name: "closes", end: (server) => server.close() },
  {
    name: "ends in the middle",
    end: (server) => writeAll(server, new Uint8Array(5)).then(() => server.close()),
  },
  { name: "sends what is no answer", end: (server) => writeAll(server, frame(1, 1, 0, NOTHING)) },
  {
    name: "sends what cannot be decoded",
    end: (server) => writeAll(server, frame(1, 2, 0, new Uint8Array([7]))),
  },
];

for (const { name, end } of ENDS) {
  Deno.test(`client: when the server ${name} calls fail, and the next one connects again`, async () => {
    const { client, accepted } = listening();
    const calls = [1, 2].map(() => client.call("s", "m", NOTHING, 5000));
    await end(await accepted());
    for (const call of calls) await assert.rejects(call, { code: Code.unavailable });
    const next = client.call("s", "m", NOTHING, 5000);
    await answer(await accepted(), 1, { payload: new Uint8Array([8]) });
    assert.deepEqual(await next, new Uint8Array([8]));
    client.disconnect();
  });
}

Deno.test("client: a request that is too large is rejected, others are not affected", async () => {
  const { client, accepted } = listening();
  const huge = new Uint8Array(MAXIMUM_PAYLOAD + 1);
  await assert.rejects(client.call("s", "m", huge, 5000), { code: Code.resourceExhausted });
  const calls = [1, 2].map(() => client.call("s", "m", NOTHING, 5000));
  const server = await accepted();
  await writeAll(server, frame(1, 2, 0, huge));
  await answer(server, 3, {});
  await assert.rejects(calls[0]!, { code: Code.resourceExhausted });
  assert.deepEqual(await calls[1], NOTHING);
  client.disconnect();
});

Deno.test("client: reports a missing server, and tries again with the next call", async () => {
  const client = new Client(() => connectUnix("unix:///nonexistent/socket"));
  for (let round = 0; round < 2; round++) {
    await assert.rejects(client.call("s", "m", NOTHING, 5000), {
      code: Code.unavailable,
      message: /^call s\/m: cannot connect: /,
    });
  }
});

Deno.test("client: disconnecting ends pending calls", async () => {
  const { client, accepted } = listening();
  const call = client.call("s", "m", NOTHING, 5000);
  const server = await accepted();
  client.disconnect();
  await assert.rejects(call, { code: Code.unavailable });
  const reader = new FrameReader(server);
  await reader.next();
  assert.equal(await reader.next(), undefined);
});

/** A client, and the connections that it makes. */
function listening(): { client: Client; accepted: () => Promise<PipeEnd> } {
  const ends: PipeEnd[] = [];
  // deno-lint-ignore require-await -- what a client takes
  const client = new Client(async () => {
    const [here, there] = pipe();
    ends.push(there);
    return here;
  });
  return {
    client,
    async accepted() {
      while (ends.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      return ends.shift()!;
    },
  };
}

function answer(
  server: PipeEnd,
  streamId: number,
  response: Parameters<typeof Response.encode>[0],
): Promise<void> {
  return writeAll(server, frame(streamId, FrameType.response, 0, Response.encode(response)));
}
