import assert from "node:assert/strict";
import { NotFoundError, WrongStateError } from "../../../../lib/errors.ts";
import { Request, Response } from "../../../../lib/protocol/ttrpc/messages.ts";
import type { Input } from "../../../../lib/protocol/protobuf/types.ts";
import { Client } from "../../../../lib/protocol/ttrpc/client.ts";
import { FrameReader, MAXIMUM_PAYLOAD } from "../../../../lib/protocol/ttrpc/frames.ts";
import { serve, type Server } from "../../../../lib/protocol/ttrpc/server.ts";
import type { RequestContext, Services } from "../../../../lib/protocol/ttrpc/services.ts";
import { Code, RpcError } from "../../../../lib/protocol/ttrpc/status.ts";
import type { Connection } from "../../../../lib/protocol/ttrpc/transport.ts";
import { Scope } from "../../../support/scope.ts";
import { testIf } from "../../../support/skip.ts";
import { frame, type PipeEnd, PipeListener, writeAll } from "./_pipe.ts";
import { type Transport, TRANSPORTS } from "./_transports.ts";

const NOTHING = new Uint8Array();
const SERVICE = "test.Service";

for (const { name, open } of TRANSPORTS) {
  const withServer = (what: string, services: Services, run: (it: Served) => Promise<void>) => {
    testIf(`server on ${name}: ${what}`, { timeoutSeconds: 20 }, async () => {
      await using scope = new Scope();
      const transport = await open(scope);
      const server = serve(transport.listener, services);
      const client = new Client(transport.connect);
      try {
        await run({ transport, server, client });
      } finally {
        client.disconnect();
        await server.close(0);
      }
    });
  };

  withServer("answers", { [SERVICE]: { Echo: (payload) => payload } }, async ({ client }) => {
    for (const size of [0, 1, 5000, 1_000_000]) {
      const payload = new Uint8Array(size).fill(size);
      assert.deepEqual(await client.call(SERVICE, "Echo", payload, 5000), payload);
    }
  });

  withServer("answers a thousand requests at once, and ten callers", {
    [SERVICE]: { Echo: (payload) => payload },
  }, async ({ client, transport, server }) => {
    const calls = Array.from({ length: 1000 }, async (_, index) => {
      const payload = new Uint8Array([index, index >> 8]);
      assert.deepEqual(await client.call(SERVICE, "Echo", payload, 10_000), payload);
    });
    await Promise.all(calls);
    const others = Array.from({ length: 10 }, () => new Client(transport.connect));
    await Promise.all(others.map((it) => it.call(SERVICE, "Echo", NOTHING, 5000)));
    assert.equal(server.connectionCount, 11);
    for (const it of others) it.disconnect();
  });

  const gate = Promise.withResolvers<Uint8Array>();
  withServer("lets a request overtake one that waits", {
    [SERVICE]: { Wait: () => gate.promise, Open: (payload) => (gate.resolve(payload), NOTHING) },
  }, async ({ client }) => {
    const waiting = client.call(SERVICE, "Wait", NOTHING, 5000);
    await client.call(SERVICE, "Open", new Uint8Array([3]), 5000);
    assert.deepEqual(await waiting, new Uint8Array([3]));
  });

  const left = Promise.withResolvers<unknown>();
  withServer("tells a handler that the caller left", {
    [SERVICE]: { Wait: (_, context) => aborted(context).then((it) => (left.resolve(it), NOTHING)) },
  }, async ({ client, server }) => {
    const waiting = client.call(SERVICE, "Wait", NOTHING, 5000);
    while (server.connectionCount === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    client.disconnect();
    await assert.rejects(waiting, { code: Code.unavailable });
    assert.equal((await left.promise as RpcError).code, Code.canceled);
  });

  withServer("ends with the requests under way", {
    [SERVICE]: { Wait: (_, context) => aborted(context).then((it) => Promise.reject(it)) },
  }, async ({ client, server }) => {
    const waiting = client.call(SERVICE, "Wait", NOTHING, 5000);
    while (server.connectionCount === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    const [, result] = await Promise.allSettled([server.close(), waiting]);
    assert.equal(result.status, "rejected");
    assert.equal(server.connectionCount, 0);
    await assert.rejects(client.call(SERVICE, "Wait", NOTHING, 1000), { code: Code.unavailable });
  });
}

Deno.test("server: a socket is its owner's alone", async () => {
  await using scope = new Scope();
  const mask = Deno.umask(0);
  try {
    for (const { open } of TRANSPORTS.slice(1, 2)) {
      const { listener } = await open(scope);
      const { path } = (listener as Deno.UnixListener).addr;
      assert.equal((await Deno.stat(path)).mode! & 0o777, 0o600);
      listener.close();
      assert.equal(Deno.umask(), 0);
    }
  } finally {
    Deno.umask(mask);
  }
});

const REFUSED: { name: string; request: Partial<Request>; code: number; message: RegExp }[] = [
  {
    name: "a service that is not there",
    request: { service: "x" },
    code: 12,
    message: /^service x$/,
  },
  { name: "a method that is not there", request: { method: "y" }, code: 12, message: /^method y$/ },
  {
    name: "a service of the prototype",
    request: { service: "constructor", method: "keys" },
    code: 12,
    message: /^service constructor$/,
  },
  {
    name: "a method of the prototype",
    request: { method: "hasOwnProperty" },
    code: 12,
    message: /^method hasOwnProperty$/,
  },
  {
    name: "names of a megabyte",
    request: { service: "s".repeat(1_000_000) },
    code: 12,
    message: /^service s{128}$/,
  },
  {
    name: "a deadline that is over",
    request: { method: "Echo", timeoutNano: -1n },
    code: 4,
    message: /^context deadline exceeded$/,
  },
  {
    name: "a handler that takes too long",
    request: { method: "Hang", timeoutNano: 10_000_000n },
    code: 4,
    message: /^context deadline exceeded$/,
  },
  {
    name: "what is not found",
    request: { method: "NotFound" },
    code: 5,
    message: /does not exist/,
  },
  { name: "the wrong state", request: { method: "Wrong" }, code: 9, message: /not running/ },
  { name: "any error", request: { method: "Throw" }, code: 2, message: /^no\\x0aluck$/ },
  { name: "what is no error", request: { method: "ThrowText" }, code: 2, message: /^text$/ },
  { name: "a code of its own", request: { method: "Own" }, code: 14, message: /^later$/ },
  {
    name: "an answer that is too large",
    request: { method: "Huge" },
    code: 8,
    message: /too large/,
  },
];

const SERVICES: Services = {
  [SERVICE]: {
    Echo: (payload) => payload,
    Hang: () => new Promise(() => {}),
    NotFound: () => {
      throw new NotFoundError({ operation: "find", subject: "a", reason: "does not exist" });
    },
    Wrong: () =>
      Promise.reject(new WrongStateError({ operation: "kill", reason: "container not running" })),
    Throw: () => Promise.reject(new Error("no\nluck")),
    ThrowText: () => Promise.reject("text"),
    Own: () => Promise.reject(new RpcError(Code.unavailable, "later")),
    Huge: () => new Uint8Array(MAXIMUM_PAYLOAD + 1),
  },
};

for (const { name, request, code, message } of REFUSED) {
  Deno.test(`server: answers ${name} with status ${code}`, async () => {
    await using peer = new Peer(SERVICES);
    await peer.request(1, request);
    const { status, payload } = await peer.answer(1);
    assert.equal(status?.code, code);
    assert.match(status?.message ?? "", message);
    assert.equal(payload.length, 0);
    await peer.works(3);
  });
}

const ODD_FRAMES: { name: string; bytes: Uint8Array; streamId: number; code: number }[] = [
  { name: "an even stream", bytes: frame(2, 1, 0, NOTHING), streamId: 2, code: 3 },
  { name: "stream 0", bytes: frame(0, 1, 0, NOTHING), streamId: 0, code: 3 },
  { name: "data of no stream", bytes: frame(1, 3, 0, new Uint8Array(9)), streamId: 1, code: 3 },
  { name: "what is no request", bytes: frame(1, 1, 0, new Uint8Array([7])), streamId: 1, code: 3 },
  {
    name: "a request that is too large",
    bytes: frame(1, 1, 0, new Uint8Array(MAXIMUM_PAYLOAD + 1)),
    streamId: 1,
    code: 8,
  },
];

for (const { name, bytes, streamId, code } of ODD_FRAMES) {
  Deno.test(`server: answers ${name} with status ${code}, and continues`, async () => {
    await using peer = new Peer(SERVICES);
    const writing = peer.write(bytes);
    assert.equal((await peer.answer(streamId)).status?.code, code);
    await writing;
    await peer.works(5);
  });
}

Deno.test("server: a stream is used once, and numbers go up", async () => {
  await using peer = new Peer(SERVICES);
  await peer.works(7);
  for (const streamId of [7, 5]) {
    await peer.request(streamId, { method: "Echo" });
    assert.equal((await peer.answer(streamId)).status?.code, Code.invalidArgument);
  }
  await peer.works(9);
});

for (const type of [0, 2, 4, 255]) {
  Deno.test(`server: a frame of type ${type} ends the connection, and no other`, async () => {
    await using peer = new Peer(SERVICES);
    await using other = peer.another();
    await peer.write(frame(1, type, 0, NOTHING));
    assert.equal(await peer.reader.next(), undefined);
    assert.match(peer.log.join(), new RegExp(`a frame of type ${type}`));
    await other.works(1);
  });
}

Deno.test("server: calls back when the answer is written", async () => {
  const order: string[] = [];
  const called = Promise.withResolvers<void>();
  await using peer = new Peer({
    [SERVICE]: {
      Shutdown(_, context) {
        context.afterAnswer(() => {
          order.push("after");
          called.resolve();
        });
        order.push("handler");
        return NOTHING;
      },
    },
  });
  await peer.request(1, { method: "Shutdown" });
  await called.promise;
  assert.deepEqual(order, ["handler", "after"]);
  assert.equal((await peer.answer(1)).status, undefined);
});

Deno.test("server: pending answers are sent when it ends", async () => {
  await using peer = new Peer({ [SERVICE]: { Large: () => new Uint8Array(1_000_000) } });
  await peer.request(1, { method: "Large" });
  while (peer.server.connectionCount === 0) await Promise.resolve();
  await new Promise((resolve) => setTimeout(resolve, 5));
  const closing = peer.server.close();
  assert.equal((await peer.answer(1)).payload.length, 1_000_000);
  await closing;
});

Deno.test("server: a caller that takes no answers is not read from", async () => {
  let calls = 0;
  await using peer = new Peer({
    [SERVICE]: {
      Large() {
        calls++;
        return new Uint8Array(1_000_000);
      },
    },
  });
  const writing = (async () => {
    for (let streamId = 1; streamId < 200; streamId += 2) {
      await peer.request(streamId, { method: "Large" });
    }
  })();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert(calls < 10, `${calls} answers wait`);
  for (let streamId = 1; streamId < 200; streamId += 2) {
    assert.equal((await peer.answer(streamId)).payload.length, 1_000_000);
  }
  await writing;
  assert.equal(calls, 100);
});

Deno.test("server: the number of waiting requests is limited", async () => {
  await using peer = new Peer(SERVICES);
  const payload = new Uint8Array(4_000_000);
  for (let streamId = 1; streamId <= 11; streamId += 2) {
    await peer.request(streamId, { method: "Hang", payload });
  }
  // Four of them are 16 MB.
  for (const streamId of [9, 11]) {
    assert.equal((await peer.answer(streamId)).status?.code, Code.resourceExhausted);
  }
  await peer.works(13);
});

Deno.test("server: continues after a failed accept", async () => {
  const pipes = new PipeListener();
  let failures = 2;
  const log: string[] = [];
  const listener = {
    accept: () =>
      failures-- > 0 ? Promise.reject(new Error("too many open files")) : pipes.accept(),
    close: () => pipes.close(),
  };
  const server = serve(listener, SERVICES, { log: (text) => log.push(text) });
  // deno-lint-ignore require-await -- what a client takes
  const client = new Client(async () => pipes.connect());
  await client.call(SERVICE, "Echo", NOTHING, 5000);
  assert.equal(log.length, 2);
  client.disconnect();
  await server.close(0);
});

interface Served {
  transport: Transport;
  server: Server;
  client: Client;
}

/** A caller that may break every rule. */
class Peer {
  readonly server: Server;
  readonly log: string[] = [];
  readonly reader: FrameReader;
  readonly #listener: PipeListener;
  readonly #end: PipeEnd;

  constructor(services: Services, from?: Peer) {
    this.#listener = from === undefined ? new PipeListener() : from.#listener;
    this.server = from?.server ??
      serve(this.#listener, services, { log: (text) => this.log.push(text) });
    this.#end = this.#listener.connect();
    this.reader = new FrameReader(this.#end as Connection);
  }

  /** On the same server. */
  another(): Peer {
    return new Peer({}, this);
  }

  write(bytes: Uint8Array): Promise<void> {
    return writeAll(this.#end, bytes);
  }

  request(streamId: number, request: Input<Request>): Promise<void> {
    const payload = Request.encode({ service: SERVICE, ...request });
    return this.write(frame(streamId, 1, 1, payload));
  }

  /** The next answer, which must be on that stream. */
  async answer(streamId: number) {
    const received = await this.reader.next();
    assert.equal(received?.streamId, streamId);
    assert.equal(received.type, 2);
    return Response.decode(received.payload);
  }

  /** The connection is still good. */
  async works(streamId: number): Promise<void> {
    const payload = new Uint8Array([1, 2, 3]);
    await this.request(streamId, { method: "Echo", payload });
    assert.deepEqual(await this.answer(streamId), { payload });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.close();
    await this.server.close(0);
  }
}

/** @returns why, once it is so */
function aborted({ signal }: RequestContext): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    signal.addEventListener("abort", () => resolve(signal.reason));
  });
}
