import assert from "node:assert/strict";
import { HostError } from "../../../../lib/errors.ts";
import { decodeMessages } from "../../../../lib/protocol/netlink/message.ts";
import { collect, emptyReply } from "../../../../lib/protocol/netlink/reply.ts";
import { bytes, random } from "./support.ts";

/** The header of the request, as an error message echoes it. */
const echo = "10000000 2400 0506 01000000 00000000";

function replyTo(sequence: number, ...datagrams: string[]) {
  const reply = emptyReply();
  for (const datagram of datagrams) collect(reply, decodeMessages(bytes(datagram)), sequence);
  return reply;
}

Deno.test("collect ends at an acknowledgement", () => {
  const reply = replyTo(1, `24000000 0200 0001 01000000 00000000 00000000 ${echo}`);
  assert.deepEqual(reply.end, { errno: 0 });
  assert.deepEqual(reply.messages, []);
});

Deno.test("collect reads an error with the kernel's text, capped or not", () => {
  // -17 is EEXIST; attribute 1 holds "no"
  const capped = `2c000000 0200 0003 01000000 00000000 efffffff ${echo} 0700 0100 6e6f0000`;
  assert.deepEqual(replyTo(1, capped).end, { errno: 17, explanation: "no" });
  const echoed = `30000000 0200 0002 01000000 00000000 efffffff
    14000000 2400 0506 01000000 00000000 aabbccdd 0700 0100 6e6f0000`;
  assert.deepEqual(replyTo(1, echoed).end, { errno: 17, explanation: "no" });
  const wordless = `24000000 0200 0001 01000000 00000000 efffffff ${echo}`;
  assert.deepEqual(replyTo(1, wordless).end, { errno: 17 });
});

Deno.test("collect gathers a dump over several datagrams", () => {
  const part = "14000000 1000 0200 01000000 00000000 aabbccdd";
  const done = "14000000 0300 0200 01000000 00000000 00000000";
  const reply = emptyReply();
  collect(reply, decodeMessages(bytes(part + part)), 1);
  assert.equal(reply.end, undefined);
  collect(reply, decodeMessages(bytes(part + done)), 1);
  assert.deepEqual(reply.end, { errno: 0 });
  assert.equal(reply.messages.length, 3);
  assert.equal(reply.interrupted, false);
});

Deno.test("collect reports a dump that was interrupted, and one that failed half-way", () => {
  const interrupted = "14000000 1000 1200 01000000 00000000 aabbccdd";
  assert.equal(replyTo(1, interrupted).interrupted, true);
  const failed = "14000000 0300 0200 01000000 00000000 ffffffff";
  assert.deepEqual(replyTo(1, failed).end, { errno: 1 });
});

Deno.test("collect passes over the answers to other requests", () => {
  const reply = replyTo(2, `24000000 0200 0001 01000000 00000000 efffffff ${echo}`);
  assert.equal(reply.end, undefined);
});

Deno.test("collect rejects a truncated error message, and lost data", () => {
  assert.throws(() => replyTo(1, "14000000 0200 0000 01000000 00000000 efffffff"), HostError);
  assert.throws(() => replyTo(1, "10000000 0400 0000 01000000 00000000"), HostError);
});

Deno.test("random closing messages end, in data or in a HostError", () => {
  const next = random(2);
  for (let round = 0; round < 20_000; round++) {
    const payload = Uint8Array.from({ length: next(64) }, () => next(round % 2 ? 256 : 24));
    const message = { type: 2 + next(2), flags: next(0x400), sequence: 1, port: 0, payload };
    try {
      collect(emptyReply(), [message], 1);
    } catch (error) {
      assert.ok(error instanceof HostError, String(error));
    }
  }
});
