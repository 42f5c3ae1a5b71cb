/** Messages of containerd, of the kernel, of a monitor and of systemd. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import {
  describeExchange,
  MAXIMUM_CONVERSATION,
  qmpCommand,
  QmpReader,
} from "../../../lib/monitor/qemu/qmp.ts";
import * as dbus from "../../../lib/protocol/dbus/message.ts";
import { parseSignature } from "../../../lib/protocol/dbus/values.ts";
import { parseAddress } from "../../../lib/protocol/netlink/address.ts";
import { parseLink } from "../../../lib/protocol/netlink/link.ts";
import {
  type Attribute,
  decodeAttributes,
  decodeMessages,
  encodeMessage,
  NLMSG_HDRLEN,
} from "../../../lib/protocol/netlink/message.ts";
import { collect, emptyReply } from "../../../lib/protocol/netlink/reply.ts";
import { parseDefaultRoutes } from "../../../lib/protocol/netlink/route.ts";
import { parseTrafficControl } from "../../../lib/protocol/netlink/tc.ts";
import type { Field, MessageType } from "../../../lib/protocol/protobuf/types.ts";
import { type Frame, FrameReader, FrameWriter } from "../../../lib/protocol/ttrpc/frames.ts";
import { Request } from "../../../lib/protocol/ttrpc/messages.ts";
import type { Connection } from "../../../lib/protocol/ttrpc/transport.ts";
import { TYPES } from "../../unit/protocol/protobuf/_types.ts";
import { Random, randomMessage } from "../../unit/shim/_random.ts";
import { anyBytes, damaged, hostileBytes, joined, pieces } from "../bytes.ts";
import { hostileJson } from "../json.ts";
import { parsed, parsedLater, target } from "../target.ts";

const type = fc.constantFrom(...TYPES);

/** A valid message of each type, and changes to it. */
const messages = fc.tuple(type, fc.nat(50)).chain(([type, seed]) =>
  fc.tuple(
    fc.constant(type),
    hostileBytes(type.encode(randomMessage(new Random(seed), type)), Request.encode({})),
  )
);

/** More than the message's own bytes would take in memory a hundred times over. */
const LARGEST_BLOWUP = 2 ** 20;

function countOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 1;
  if (value instanceof Uint8Array) return 1 + value.length;
  return Object.values(value).reduce<number>((sum, it) => sum + countOf(it), 1);
}

/** A connection that has brought all of its bytes, and takes anything. */
class Bytes implements Connection {
  readonly written: Uint8Array[] = [];
  readonly #parts: Uint8Array[];

  constructor(parts: Uint8Array[] = []) {
    this.#parts = parts.filter((it) => it.length > 0);
  }

  read(buffer: Uint8Array): Promise<number | null> {
    const part = this.#parts[0];
    if (part === undefined) return Promise.resolve(null);
    const count = Math.min(part.length, buffer.length);
    assert.ok(count > 0, "it reads into no room");
    buffer.set(part.subarray(0, count));
    if (count < part.length) this.#parts[0] = part.subarray(count);
    else this.#parts.shift();
    return Promise.resolve(count);
  }

  write(buffer: Uint8Array): Promise<number> {
    this.written.push(buffer.slice());
    return Promise.resolve(buffer.length);
  }

  close(): void {}
}

async function framesOf(parts: Uint8Array[]): Promise<Frame[]> {
  const reader = new FrameReader(new Bytes(parts));
  const frames: Frame[] = [];
  for (let frame; (frame = await reader.next()) !== undefined;) frames.push(frame);
  return frames;
}

async function wireOf(frames: readonly Omit<Frame, "isTooLarge">[]): Promise<Uint8Array> {
  const connection = new Bytes();
  const writer = new FrameWriter(connection);
  for (const { streamId, type, flags, payload } of frames) {
    await writer.send(streamId, type, flags, payload);
  }
  return joined(...connection.written);
}

const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const frame = fc.record({
  streamId: uint32,
  type: fc.nat(255),
  flags: fc.nat(255),
  payload: fc.uint8Array({ maxLength: 300, size: "max" }),
});
const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 30 });

const WIRE = await wireOf([1, 3].map((streamId) => ({
  streamId,
  type: 1,
  flags: 0,
  payload: Request.encode({ service: "containerd.task.v2.Task", method: "State" }),
})));

const attribute = (type: number, ...value: number[]): Attribute => ({
  type,
  value: Uint8Array.from(value),
});
const netlinkMessage = (payload: number[], attributes: Attribute[], type = 16) =>
  encodeMessage({ type, flags: 2, sequence: 1, port: 0, payload: Uint8Array.from(payload) }, [
    ...attributes,
  ]);
const zeros = (count: number) => Array<number>(count).fill(0);

/** As the kernel sends them: a link, an address, a route of several hops, a filter, an error, the end. */
const NETLINK = [
  netlinkMessage(zeros(16), [
    attribute(3, 0x65, 0x74, 0x68, 0x30, 0),
    attribute(4, 0xdc, 5, 0, 0),
    attribute(1, 2, 0x42, 0, 0, 0, 2),
    { type: 18, value: [attribute(1, 0x74, 0x75, 0x6e, 0)] },
    attribute(20, 0x61),
  ]),
  netlinkMessage([2, 24, 0, 0, 2, 0, 0, 0], [
    attribute(1, 10, 0, 0, 2),
    attribute(2, 10, 0, 0, 2),
    attribute(8, 0, 0, 0, 0),
  ], 20),
  netlinkMessage([2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0], [
    attribute(9, 16, 0, 0, 0, 2, 0, 0, 0, 8, 0, 5, 0, 10, 0, 0, 1),
    attribute(15, 254, 0, 0, 0),
  ], 24),
  netlinkMessage(zeros(20), [attribute(1, 0x75, 0x33, 0x32, 0)], 36),
  encodeMessage({
    type: 2,
    flags: 0x200,
    sequence: 1,
    port: 0,
    payload: Uint8Array.from([0xed, 0xff, 0xff, 0xff, 20, ...zeros(19), 8, 0, 1, 0, 0x6e, 0x6f, 0]),
  }),
  netlinkMessage([0, 0, 0, 0], [], 3),
];

/** Attributes in attributes, as they are sent. */
const attributes: fc.Arbitrary<Attribute[]> = fc.uniqueArray(
  fc.tuple(fc.integer({ min: 1, max: 0x3fff }), fc.uint8Array({ maxLength: 20 })),
  { maxLength: 8, selector: ([type]) => type },
).map((list) => list.map(([type, value]) => ({ type, value })));

const REGISTERS = "RAX=0000000000000000\\r\\nCS =0010 0000000000000000 ffffffff 00a09b00\\r\\n" +
  "CR0=80050033 CR2=0 CR3=0000000012345000 CR4=6f0\\r\\n";

/** What QEMU answers, a line each. */
const QMP = [
  { QMP: { version: { qemu: { micro: 0, minor: 0, major: 10 } }, capabilities: ["oob"] } },
  { return: {} },
  { return: "000000000000b002 = 0x0120\r\n" },
  { return: REGISTERS.replaceAll("\\r\\n", "\r\n") },
  { event: "STOP", timestamp: { seconds: 1, microseconds: 2 } },
  { return: { status: "internal-error", running: false } },
];

const DBUS = [
  dbus.encodeMessage({
    kind: "call",
    flags: 0,
    serial: 1,
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
    member: "StartTransientUnit",
    destination: "org.freedesktop.systemd1",
    signature: "ssa(sv)",
    body: ["a.scope", "fail", [["Slice", { signature: "s", value: "system.slice" }]]],
  }),
  dbus.encodeMessage({
    kind: "signal",
    flags: 1,
    serial: 9,
    path: "/x",
    interface: "a.b",
    member: "JobRemoved",
    sender: ":1.1",
    signature: "uoss",
    body: [1, "/job/1", "a.scope", "done"],
  }),
];

function isTransient(field: Field<unknown>): boolean {
  return field.repeated === false && field.kind === "message";
}

/** What a message is after proto3 has left out what is zero. */
function withDefaults(type: MessageType<unknown>, value: Record<string, unknown>): unknown {
  return type.decode(type.encode(value));
}

export const PROTOCOLS = [
  target({
    name: "protobuf messages",
    weight: 10,
    inputs: messages,
    check([type, bytes]) {
      const message = parsed(() => type.decode(bytes));
      if (message === undefined) return;
      assert.ok(countOf(message) < LARGEST_BLOWUP);
      // What was understood is written so that it is understood in the same way.
      assert.deepEqual(type.decode(type.encode(message as never)), message);
    },
  }),
  target({
    name: "protobuf messages, valid",
    weight: 2,
    inputs: fc.tuple(type, fc.nat()),
    check([type, seed]) {
      const message = randomMessage(new Random(seed), type);
      const decoded = withDefaults(type, message) as Record<string, unknown>;
      for (const [name, value] of Object.entries(message)) {
        if (isTransient(type.fields[name]!)) continue;
        if (type.fields[name]!.kind !== "message") assert.deepEqual(decoded[name], value, name);
      }
    },
  }),
  target({
    name: "ttrpc frames",
    weight: 5,
    inputs: fc.tuple(hostileBytes(WIRE), sizes),
    async check([bytes, lengths]) {
      const frames = await parsedLater(() => framesOf(pieces(bytes, lengths)));
      const taken = frames!.reduce((sum, { payload }) => sum + 10 + payload.length, 0);
      assert.ok(taken <= bytes.length + 10 * frames!.length);
      for (const { payload } of frames!) parsed(() => Request.decode(payload));
    },
  }),
  target({
    name: "ttrpc frames, valid",
    weight: 2,
    inputs: fc.tuple(fc.array(frame, { maxLength: 4 }), sizes),
    async check([sent, lengths]) {
      const frames = await framesOf(pieces(await wireOf(sent), lengths));
      assert.deepEqual(frames, sent.map((it) => ({ ...it, isTooLarge: false })));
    },
  }),
  target({
    name: "netlink messages",
    weight: 10,
    inputs: hostileBytes(...NETLINK, joined(...NETLINK)),
    check(bytes) {
      const messages = parsed(() => decodeMessages(bytes)) ?? [];
      parsed(() => collect(emptyReply(), messages, 1));
      for (const message of messages) {
        for (const parse of [parseLink, parseAddress, parseDefaultRoutes, parseTrafficControl]) {
          parsed(() => parse(message));
        }
      }
    },
  }),
  target({
    name: "netlink messages, valid",
    weight: 2,
    inputs: fc.tuple(attributes, fc.nat(0xffff), uint32),
    check([attributes, type, sequence]) {
      const payload = new Uint8Array(16);
      const bytes = encodeMessage({ type, flags: 0, sequence, port: 7, payload }, attributes);
      const [message, ...others] = decodeMessages(bytes);
      assert.deepEqual(others, []);
      const found = decodeAttributes(message!.payload, payload.length);
      assert.deepEqual([message!.type, message!.sequence], [type, sequence]);
      assert.deepEqual([...found], attributes.map(({ type, value }) => [type, value]));
      assert.equal(bytes.length % 4, 0);
      assert.ok(bytes.length >= NLMSG_HDRLEN);
    },
  }),
  target({
    name: "QMP lines",
    weight: 6,
    inputs: fc.tuple(
      fc.array(fc.oneof(hostileJson(...QMP), anyBytes), { maxLength: 4 }),
      sizes,
    ),
    check([lines, lengths]) {
      const bytes = joined(...lines.flatMap((line) => [line, Uint8Array.of(0x0a)]));
      const reader = new QmpReader();
      for (const piece of pieces(bytes, lengths)) {
        for (const message of parsed(() => reader.feed(piece)) ?? []) {
          assert.ok(describeExchange("{}", message).length < 200);
        }
      }
    },
  }),
  target({
    name: "QMP lines, valid",
    weight: 1,
    inputs: fc.tuple(
      fc.array(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 })), { maxLength: 5 }),
      sizes,
    ),
    check([sent, lengths]) {
      const bytes = new TextEncoder().encode(
        sent.map((it, index) => qmpCommand(`c${index}`, it)).join(""),
      );
      const reader = new QmpReader();
      const found = bytes.length > MAXIMUM_CONVERSATION
        ? []
        : pieces(bytes, lengths).flatMap((piece) => reader.feed(piece));
      assert.deepEqual(
        found,
        sent.map((it, index) =>
          JSON.parse(JSON.stringify({ execute: `c${index}`, arguments: it }))
        ),
      );
    },
  }),
  target({
    name: "D-Bus messages",
    weight: 4,
    inputs: hostileBytes(...DBUS),
    check(bytes) {
      if (bytes.length >= dbus.PREFIX_BYTES) parsed(() => dbus.messageBytes(bytes));
      const message = parsed(() => dbus.decodeMessage(bytes));
      if (message !== undefined) assert.ok(countOf(message.body) < LARGEST_BLOWUP);
    },
  }),
  target({
    name: "D-Bus signatures",
    weight: 1,
    inputs: fc.oneof(
      damaged(new TextEncoder().encode("a{sv}a(sv)(i(ss))v")),
      fc.constantFrom("a".repeat(255), "(".repeat(255), "a(".repeat(127), "a{s".repeat(80))
        .map((it) => new TextEncoder().encode(it)),
    ),
    check: (bytes) => void parsed(() => parseSignature(new TextDecoder().decode(bytes))),
  }),
];
