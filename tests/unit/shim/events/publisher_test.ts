import assert from "node:assert/strict";
import {
  binaryForwarder,
  type Forwarder,
  ttrpcForwarder,
} from "../../../../lib/shim/events/forward.ts";
import { Publisher } from "../../../../lib/shim/events/publisher.ts";
import {
  Any,
  type Envelope,
  ForwardRequest,
  TaskCreate,
  TaskDelete,
  TaskExit,
  TaskOOM,
  TaskStart,
  unpackAny,
} from "../../../../lib/protocol/containerd/messages.ts";
import { millisecondsOf } from "../../../support/ttrpc.ts";
import { serve } from "../../../../lib/protocol/ttrpc/server.ts";
import { Code, RpcError } from "../../../../lib/protocol/ttrpc/status.ts";
import { listenUnix } from "../../../support/ttrpc.ts";
import { Scope } from "../../../support/scope.ts";

Deno.test("publisher: sends events in order, with namespace, topic and time", async () => {
  const { publisher, taken } = publishing();
  const before = Date.now();
  publisher.publish("/tasks/create", TaskCreate, { containerId: "a", pid: 5 });
  publisher.publish("/tasks/start", TaskStart, { containerId: "a", pid: 5 });
  publisher.publish("/tasks/exit", TaskExit, { containerId: "a", id: "a", exitStatus: 3 });
  assert.equal(publisher.pending, 3);
  assert.equal(await publisher.flush(5000), 0);
  assert.deepEqual(taken.map((it) => it.topic), ["/tasks/create", "/tasks/start", "/tasks/exit"]);
  for (const { namespace, timestamp } of taken) {
    assert.equal(namespace, "k8s.io");
    const time = millisecondsOf(timestamp!);
    assert(before <= time && time <= Date.now());
  }
  assert.equal(unpackAny(TaskExit, taken[2]!.event!)?.exitStatus, 3);
});

Deno.test("publisher: the answer that an event is about goes first", async () => {
  const { publisher, taken } = publishing();
  publisher.publish("/tasks/create", TaskCreate, { containerId: "a" });
  // What is sent without waiting for anything is sent by then.
  for (let turn = 0; turn < 100; turn++) await Promise.resolve();
  assert.equal(taken.length, 0);
  assert.equal(await publisher.flush(5000), 0);
  assert.equal(taken.length, 1);
});

Deno.test("publisher: keeps events and their order while containerd is away", async () => {
  let away = 4;
  const { publisher, taken, log } = publishing(() => {
    if (away-- > 0) throw new RpcError(Code.unavailable, "cannot connect");
  });
  for (const id of ["a", "b", "c"]) publisher.publish("/tasks/exit", TaskExit, { id });
  assert.equal(await publisher.flush(10), 3);
  publisher.publish("/tasks/delete", TaskDelete, { id: "a" });
  assert.equal(await publisher.flush(5000), 0);
  assert.deepEqual(taken.map((it) => it.topic), [...Array(3).fill("/tasks/exit"), "/tasks/delete"]);
  assert.deepEqual(taken.slice(0, 3).map(exitId), ["a", "b", "c"]);
  // Once when it begins and once when it is over.
  assert.equal(log.length, 2);
});

Deno.test("publisher: an event that is always refused does not block the others", async () => {
  const attempts: string[] = [];
  const { publisher, taken, log } = publishing((envelope) => {
    attempts.push(envelope.topic);
    if (envelope.topic === "/odd") throw new RpcError(Code.unknown, "no");
    if (envelope.topic === "/invalid") throw new RpcError(Code.invalidArgument, "never");
  });
  for (const topic of ["/odd", "/invalid", "/tasks/exit"]) publisher.publish(topic, TaskExit, {});
  assert.equal(await publisher.flush(5000), 0);
  assert.deepEqual(attempts, [...Array(5).fill("/odd"), "/invalid", "/tasks/exit"]);
  assert.deepEqual(taken.map((it) => it.topic), ["/tasks/exit"]);
  assert.match(log.join("\n"), /\/odd is lost: answer|\/odd is lost: no/);
  assert.match(log.join("\n"), /\/invalid is lost/);
});

Deno.test("publisher: when too many wait, exits and deletes go last, the oldest first", async () => {
  const gate = Promise.withResolvers<void>();
  const { publisher, taken, log } = publishing(() => gate.promise, 4);
  publisher.publish("/tasks/create", TaskCreate, {});
  publisher.publish("/tasks/exit", TaskExit, { id: "1" });
  publisher.publish("/tasks/oom", TaskOOM, {});
  publisher.publish("/tasks/exit", TaskExit, { id: "2" });
  // The create is on its way; the oom has to go, then the first exit.
  publisher.publish("/tasks/exit", TaskExit, { id: "3" });
  assert.equal(publisher.pending, 4);
  publisher.publish("/tasks/delete", TaskDelete, {});
  assert.equal(publisher.pending, 4);
  gate.resolve();
  await publisher.flush(5000);
  assert.deepEqual(taken.map((it) => it.topic + (exitId(it) ?? "")), [
    "/tasks/create",
    "/tasks/exit2",
    "/tasks/exit3",
    "/tasks/delete",
  ]);
  assert.match(log[0]!, /\/tasks\/oom is lost: more than 4/);
  assert.match(log[1]!, /\/tasks\/exit is lost/);
});

Deno.test("publisher: drops events after it was closed", async () => {
  const { publisher, taken, log } = publishing(() => {
    throw new RpcError(Code.unavailable, "cannot connect");
  });
  publisher.publish("/tasks/exit", TaskExit, {});
  publisher.close();
  publisher.publish("/tasks/exit", TaskExit, {});
  assert.equal(await publisher.flush(100), 1);
  assert.equal(taken.length, 0);
  assert.match(log.join("\n"), /after the publisher was closed/);
});

Deno.test("publisher: containerd is killed and comes back: all events arrive", async () => {
  await using scope = new Scope();
  const path = `${await scope.temporaryDirectory("events")}/containerd.sock.ttrpc`;
  const taken: string[] = [];
  const start = () =>
    serve(listenUnix(path), {
      "containerd.services.events.ttrpc.v1.Events": {
        Forward(payload) {
          taken.push(exitId(ForwardRequest.decode(payload).envelope!)!);
          return new Uint8Array();
        },
      },
    });
  const publisher = new Publisher({
    forwarder: ttrpcForwarder(path),
    namespace: "default",
    firstRetryMs: 1,
  });
  const exit = (id: string) => publisher.publish("/tasks/exit", TaskExit, { id });

  exit("before it is there");
  assert.equal(await publisher.flush(20), 1);
  const first = start();
  assert.equal(await publisher.flush(5000), 0);
  exit("while it is there");
  assert.equal(await publisher.flush(5000), 0);
  await first.close();
  exit("while it is away");
  assert.equal(await publisher.flush(20), 1);
  const second = start();
  assert.equal(await publisher.flush(5000), 0);
  assert.deepEqual(taken, ["before it is there", "while it is there", "while it is away"]);
  publisher.close();
  await second.close();
});

Deno.test("publisher: without a ttrpc socket a program takes the events", async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("events");
  const binary = `${directory}/containerd`;
  await Deno.writeTextFile(
    binary,
    `#!/bin/sh\necho "$@" >${directory}/arguments\ncat >${directory}/event\nexit $(cat ${directory}/code)\n`,
    { mode: 0o755 },
  );
  await Deno.writeTextFile(`${directory}/code`, "1");
  const publisher = new Publisher({
    forwarder: binaryForwarder(binary, "/run/containerd/containerd.sock"),
    namespace: "default",
    firstRetryMs: 1,
  });
  publisher.publish("/tasks/exit", TaskExit, { id: "a" });
  assert.equal(await publisher.flush(50), 1);
  await Deno.writeTextFile(`${directory}/code`, "0");
  assert.equal(await publisher.flush(10_000), 0);
  assert.equal(
    await Deno.readTextFile(`${directory}/arguments`),
    "--address /run/containerd/containerd.sock publish --topic /tasks/exit --namespace default\n",
  );
  const event = Any.decode(await Deno.readFile(`${directory}/event`));
  assert.equal(unpackAny(TaskExit, event)?.id, "a");
  publisher.close();
});

Deno.test("publisher: a missing program is a failed attempt", async () => {
  const forwarder = binaryForwarder("/nonexistent/containerd", "/run/x");
  await assert.rejects(forwarder.forward({ namespace: "n", topic: "/t" }), {
    code: Code.unavailable,
    message: /nonexistent/,
  });
});

/** A publisher whose events end up in a list, unless `refuse` throws. */
function publishing(
  refuse: (envelope: Envelope) => void | Promise<void> = () => {},
  capacity?: number,
) {
  const taken: Envelope[] = [];
  const log: string[] = [];
  const forwarder: Forwarder = {
    async forward(envelope) {
      await refuse(envelope);
      taken.push(envelope);
    },
    close() {},
  };
  const publisher = new Publisher({
    forwarder,
    namespace: "k8s.io",
    log: (text) => log.push(text),
    capacity,
    firstRetryMs: 1,
  });
  return { publisher, taken, log };
}

function exitId({ event }: Envelope): string | undefined {
  return unpackAny(TaskExit, event!)?.id;
}
