import assert from "node:assert/strict";
import {
  decodeMessage,
  encodeMessage,
  type Message,
  messageBytes,
  PREFIX_BYTES,
} from "../../../../lib/protocol/dbus/message.ts";
import { HostError } from "../../../../lib/errors.ts";
import { Stopwatch } from "../../../support/busy.ts";

const HELLO: Message = {
  kind: "call",
  flags: 0,
  serial: 1,
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
  member: "Hello",
  destination: "org.freedesktop.DBus",
  body: [],
};

const START: Message = {
  ...HELLO,
  flags: 3,
  serial: 77,
  member: "StartTransientUnit",
  signature: "ssa(sv)a(sa(sv))",
  body: [
    "a.scope",
    "replace",
    [["PIDs", { signature: "au", value: [42] }], ["MemoryMax", { signature: "t", value: 1n }]],
    [],
  ],
};

const REMOVED: Message = {
  kind: "signal",
  flags: 1,
  serial: 9,
  path: "/org/freedesktop/systemd1",
  interface: "org.freedesktop.systemd1.Manager",
  member: "JobRemoved",
  sender: ":1.0",
  signature: "uoss",
  body: [5, "/org/freedesktop/systemd1/job/5", "a.scope", "done"],
};

const FAILED: Message = {
  kind: "error",
  flags: 1,
  serial: 3,
  replySerial: 77,
  errorName: "org.freedesktop.systemd1.UnitExists",
  destination: ":1.5",
  sender: ":1.0",
  signature: "s",
  body: ["it is there"],
};

const MESSAGES = [HELLO, START, REMOVED, FAILED];

Deno.test("the bytes of Hello are those that every client sends", () => {
  const hex = encodeMessage(HELLO).toHex();
  const text = (value: string) => new TextEncoder().encode(value).toHex();
  assert.equal(
    hex,
    "6c01000100000000010000006d000000" +
      `01016f0015000000${text("/org/freedesktop/DBus")}000000` +
      `0201730014000000${text("org.freedesktop.DBus")}00000000` +
      `0301730005000000${text("Hello")}000000` +
      `0601730014000000${text("org.freedesktop.DBus")}00` +
      "000000",
  );
});

for (const message of MESSAGES) {
  Deno.test(`a ${message.kind} of ${message.member ?? message.errorName} comes back as it was`, () => {
    const bytes = encodeMessage(message);
    assert.equal(messageBytes(bytes.subarray(0, PREFIX_BYTES)), bytes.length);
    assert.deepEqual(decodeMessage(bytes), message);
  });
}

Deno.test("an unknown field is skipped, an unknown kind is reported", () => {
  const bytes = encodeMessage({ ...HELLO, path: "/" });
  // The path's field becomes one that the specification does not have yet.
  bytes[16] = 200;
  bytes[1] = 9;
  const { kind, path, member } = decodeMessage(bytes);
  assert.deepEqual([kind, path, member], ["invalid", undefined, "Hello"]);
});

const BROKEN: [what: string, change: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array][] = [
  ["cut", (bytes) => bytes.slice(0, -1)],
  ["with more after it", (bytes) => new Uint8Array([...bytes, 0])],
  ["of an unknown byte order", (bytes) => bytes.with(0, 0x78)],
  ["of another version", (bytes) => bytes.with(3, 2)],
  ["without a serial", (bytes) => bytes.with(8, 0)],
  ["whose path is a number", (bytes) => bytes.with(18, 0x75)],
  ["whose body is shorter than it says", (bytes) => bytes.with(4, 200)],
];

for (const [what, change] of BROKEN) {
  Deno.test(`no message: ${what}`, () => {
    const bytes = encodeMessage(HELLO);
    assert.throws(() => decodeMessage(change(bytes)), HostError);
  });
}

Deno.test("a message longer than the maximum is not waited for", () => {
  const prefix = encodeMessage(HELLO).slice(0, PREFIX_BYTES);
  prefix.set([0xff, 0xff, 0xff, 0x7f], 4);
  assert.throws(() => messageBytes(prefix), /2147483\d+ bytes/);
});

Deno.test("damaged messages are decoded or refused, and nothing else", () => {
  const random = generator(20_250_801);
  let decoded = 0;
  const watch = new Stopwatch();
  for (let round = 0; round < 20_000; round++) {
    const bytes = encodeMessage(MESSAGES[round % MESSAGES.length]!);
    for (let changes = 1 + random(4); changes > 0; changes--) {
      bytes[random(bytes.length)] = random(256);
    }
    const damaged = random(3) === 0 ? bytes.slice(0, random(bytes.length + 1)) : bytes;
    try {
      if (damaged.length >= PREFIX_BYTES) messageBytes(damaged);
      decodeMessage(damaged);
      decoded++;
    } catch (error) {
      assert.ok(error instanceof HostError, `${damaged.toHex()}: ${error}`);
    }
  }
  assert.ok(decoded > 100, `${decoded} were decoded`);
  watch.assertWithin(20_000, "all of it");
});

/** Numbers below a limit, the same in every run: mulberry32. */
function generator(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}
