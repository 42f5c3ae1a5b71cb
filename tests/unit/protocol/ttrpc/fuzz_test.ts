import assert from "node:assert/strict";
import { Request, Response } from "../../../../lib/protocol/ttrpc/messages.ts";
import { CreateTaskRequest } from "../../../../lib/protocol/containerd/messages.ts";
import { Client } from "../../../../lib/protocol/ttrpc/client.ts";
import { FrameReader } from "../../../../lib/protocol/ttrpc/frames.ts";
import { serve } from "../../../../lib/protocol/ttrpc/server.ts";
import type { Services } from "../../../../lib/protocol/ttrpc/services.ts";
import { RpcError } from "../../../../lib/protocol/ttrpc/status.ts";
import { Scope } from "../../../support/scope.ts";
import { testIf } from "../../../support/skip.ts";
import { joined, mutate, Random } from "../../shim/_random.ts";
import { frame, type PipeEnd, PipeListener, writeAll } from "./_pipe.ts";
import { TRANSPORTS } from "./_transports.ts";

const SERVICE = "containerd.task.v2.Task";

const SERVICES: Services = {
  [SERVICE]: {
    Create: (payload) => {
      const { id, rootfs } = CreateTaskRequest.decode(payload);
      return CreateTaskRequest.encode({ id, rootfs });
    },
  },
};

/** What hurts a server of ttrpc, in all the ways that are known. */
function attack(random: Random): Uint8Array<ArrayBuffer> {
  if (random.below(5) === 0) return random.bytes(random.below(100));
  const frames = Array.from({ length: 1 + random.below(4) }, (_, index) => {
    const request = Request.encode({
      service: random.pick([SERVICE, "", "__proto__"]),
      method: random.pick(["Create", "Nothing", "toString"]),
      payload: CreateTaskRequest.encode({ id: "a", rootfs: [{ type: "bind", options: ["ro"] }] }),
      timeoutNano: random.pick([0n, 0n, -5n, 1n, 10n ** 12n, 2n ** 63n - 1n]),
    });
    const payload = random.below(2) === 0 ? request : mutate(random, request);
    const size = random.below(10) > 0
      ? payload.length
      : random.pick([0, 1, payload.length + 1, 4 << 20, 2 ** 32 - 1]);
    const streamId = random.below(10) > 0 ? index * 2 + 1 : random.uint32();
    const type = random.below(10) > 0 ? 1 : random.below(256);
    return frame(streamId, type, random.below(256), payload, size);
  });
  const bytes = joined(...frames);
  return random.below(3) === 0 ? mutate(random, bytes) : bytes;
}

testIf(
  "fuzz: 10 000 attacks end a connection, or are answered",
  { timeoutSeconds: 100 },
  async () => {
    const random = new Random(5);
    const listener = new PipeListener();
    const server = serve(listener, SERVICES);
    const codes = new Map<number, number>();
    let good = 0;
    for (let round = 0; round < 10_000; round++) {
      const peer = listener.connect();
      const [answers] = await Promise.all([readAnswers(peer), send(peer, attack(random))]);
      for (const { status } of answers) {
        if (status === undefined) good++;
        else codes.set(status.code, (codes.get(status.code) ?? 0) + 1);
      }
      peer.close();
    }
    while (server.connectionCount > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    assert(good > 100, `${good} were good`);
    for (const code of [3, 4, 8, 12]) assert((codes.get(code) ?? 0) > 10, `status ${code}`);
    // Nothing is answered otherwise: 2 would be an error that nobody thought of.
    assert.deepEqual(Array.from(codes.keys()).sort((a, b) => a - b), [3, 4, 8, 12]);

    const peer = listener.connect();
    await send(peer, frame(1, 1, 0, Request.encode({ service: SERVICE, method: "Create" })));
    assert.equal((await readAnswers(peer))[0]?.status, undefined);
    await server.close(0);
  },
);

for (const { name, open } of TRANSPORTS.slice(1)) {
  testIf(`fuzz: 300 attacks on ${name}`, { timeoutSeconds: 60 }, async () => {
    await using scope = new Scope();
    const { listener, connect } = await open(scope);
    const server = serve(listener, SERVICES);
    const random = new Random(6);
    for (let round = 0; round < 300; round++) {
      const peer = await connect();
      // The server may be gone before all is written.
      await writeAll(peer, attack(random)).catch(() => {});
      peer.close();
    }
    const client = new Client(connect);
    const payload = CreateTaskRequest.encode({ id: "a" });
    assert.deepEqual(await client.call(SERVICE, "Create", payload, 5000), payload);
    client.disconnect();
    await server.close(0);
  });
}

testIf("fuzz: 2000 odd answers fail calls, or are answers", { timeoutSeconds: 60 }, async () => {
  const random = new Random(7);
  const listener = new PipeListener();
  let failed = 0;
  for (let round = 0; round < 2000; round++) {
    // deno-lint-ignore require-await -- what a client takes
    const client = new Client(async () => listener.connect());
    const call = client.call("s", "m", new Uint8Array(), 1000);
    const server = await listener.accept();
    const answer = frame(1, 2, 0, random.below(2) === 0 ? random.bytes(5) : new Uint8Array());
    await send(server, random.below(4) === 0 ? answer : mutate(random, answer));
    await call.catch((error) => {
      assert(error instanceof RpcError);
      failed++;
    });
    client.disconnect();
  }
  assert(failed > 500 && failed < 2000, `${failed} failed`);
});

/** All that comes until the end, which must be whole answers. */
async function readAnswers(peer: PipeEnd) {
  const reader = new FrameReader(peer);
  const answers = [];
  for (let next; (next = await reader.next()) !== undefined;) {
    assert.equal(next.type, 2);
    answers.push(Response.decode(next.payload));
  }
  return answers;
}

async function send(peer: PipeEnd, bytes: Uint8Array): Promise<void> {
  await writeAll(peer, bytes).catch(() => {});
  peer.closeWrite();
}
