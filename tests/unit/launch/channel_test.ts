import assert from "node:assert/strict";
import { SOCK_STREAM, socketpair } from "../../../ffi/linux.ts";
import { Channel } from "../../../lib/launch/channel.ts";

type Message = { text: string };

function makeEnds(): [Channel<Message, Message>, Channel<Message, Message>] {
  const [one, other] = socketpair(SOCK_STREAM);
  return [new Channel(one), new Channel(other)];
}

Deno.test("messages that are sent together arrive one after the other", async () => {
  const [one, other] = makeEnds();
  try {
    one.send({ text: "first" }, { text: "ä".repeat(100_000) });
    assert.deepEqual(await other.receiveAsync(), { text: "first" });
    assert.deepEqual(await other.receiveAsync(), { text: "ä".repeat(100_000) });
  } finally {
    one.close();
    other.close();
  }
});

Deno.test("a peer that closes with unread messages has sent its own, and is gone", async () => {
  const [one, other] = makeEnds();
  try {
    one.send({ text: "for nobody" });
    other.send({ text: "the last" });
    other.close();
    assert.deepEqual(await one.receiveAsync(), { text: "the last" });
    assert.equal(await one.receiveAsync(), undefined);
  } finally {
    one.close();
  }
});
