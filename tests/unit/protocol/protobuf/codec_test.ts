import assert from "node:assert/strict";
import { MalformedMessageError } from "../../../../lib/protocol/protobuf/error.ts";
import {
  packAny,
  TaskExit,
  TaskOOM,
  timestampOf,
  unpackAny,
} from "../../../../lib/protocol/containerd/messages.ts";
import { millisecondsOf } from "../../../support/ttrpc.ts";
import {
  bool,
  bytes,
  embedded,
  int32,
  message,
  repeated,
  string,
  uint32,
  uint64,
} from "../../../../lib/protocol/protobuf/schema.ts";
import type { MessageType } from "../../../../lib/protocol/protobuf/types.ts";
import { joined, mutate, Random, randomMessage } from "../../shim/_random.ts";
import { TYPES } from "./_types.ts";

interface Everything {
  text: string;
  flag: boolean;
  small: number;
  signed: number;
  large: bigint;
  raw: Uint8Array;
  inner?: Everything;
  texts: string[];
  numbers: bigint[];
  inners: Everything[];
}

const Everything: MessageType<Everything> = message("test.Everything", () => ({
  text: string(1),
  flag: bool(2),
  small: uint32(3),
  signed: int32(4),
  large: uint64(5),
  raw: bytes(7),
  inner: embedded(8, Everything),
  texts: repeated(string(9)),
  numbers: repeated(uint64(10)),
  inners: repeated(embedded(16, Everything)),
}));

const EMPTY: Everything = {
  text: "",
  flag: false,
  small: 0,
  signed: 0,
  large: 0n,
  raw: new Uint8Array(),
  texts: [],
  numbers: [],
  inners: [],
};

/** Worked out by hand from the encoding's specification. */
const WIRE: { hex: string; value: Partial<Everything> }[] = [
  { hex: "", value: {} },
  { hex: "0a0774657374696e67", value: { text: "testing" } },
  { hex: "0a0130", value: { text: "0" } },
  { hex: "1001", value: { flag: true } },
  { hex: "189601", value: { small: 150 } },
  { hex: "18ffffffff0f", value: { small: 2 ** 32 - 1 } },
  { hex: "20ffffffffffffffffff01", value: { signed: -1 } },
  { hex: "28ffffffffffffffffff01", value: { large: 2n ** 64n - 1n } },
  { hex: "2880808080808080808001", value: { large: 2n ** 63n } },
  { hex: "3a0200ff", value: { raw: new Uint8Array([0, 255]) } },
  { hex: "4200", value: { inner: EMPTY } },
  { hex: "4203189601", value: { inner: { ...EMPTY, small: 150 } } },
  { hex: "4a016b4a00", value: { texts: ["k", ""] } },
  { hex: "520603ac0200904e", value: { numbers: [3n, 300n, 0n, 10000n] } },
  { hex: "8201008201021001", value: { inners: [EMPTY, { ...EMPTY, flag: true }] } },
];

for (const { hex, value } of WIRE) {
  Deno.test(`codec: ${hex || "nothing"} is what the specification says`, () => {
    assert.equal(Everything.encode(value).toHex(), hex);
    assert.deepEqual(Everything.decode(Uint8Array.fromHex(hex)), { ...EMPTY, ...value });
  });
}

/** What other encoders may write, and ours does not. */
const TOLERATED: { name: string; hex: string; value: Partial<Everything> }[] = [
  { name: "the last of two values counts", hex: "0a01610a0162", value: { text: "b" } },
  {
    name: "two parts of a message are merged",
    hex: "42020a004202180542030a0162",
    value: { inner: { ...EMPTY, small: 5, text: "b" } },
  },
  { name: "numbers come one by one", hex: "500350ac02", value: { numbers: [3n, 300n] } },
  { name: "numbers come both ways", hex: "500352020405", value: { numbers: [3n, 4n, 5n] } },
  { name: "zeros are written", hex: "0a00100018002000", value: {} },
  { name: "a varint is longer than needed", hex: "18968100", value: { small: 150 } },
  {
    name: "a number has more bits than its type",
    hex: "1896818080f0ffffffff01",
    value: { small: 150 },
  },
  { name: "a bool is more than 1", hex: "10808080808001", value: { flag: true } },
  {
    name: "unknown fields of every wire type",
    hex: "a00601" + "a1060102030405060708" + "a2060161" + "a50601020304" + "a306" + "a00605" +
      "a406" + "189601",
    value: { small: 150 },
  },
  { name: "a known field of another wire type", hex: "1a0161" + "189601", value: { small: 150 } },
];

for (const { name, hex, value } of TOLERATED) {
  Deno.test(`codec: ${name}`, () => {
    assert.deepEqual(Everything.decode(Uint8Array.fromHex(hex)), { ...EMPTY, ...value });
  });
}

const MALFORMED: { name: string; bytes: Uint8Array; reason: RegExp }[] = [
  { name: "a tag alone", bytes: hex("18"), reason: /cut off/ },
  { name: "half a varint", bytes: hex("1896"), reason: /cut off/ },
  { name: "half an unknown double", bytes: hex("f10300000000"), reason: /cut off/ },
  { name: "a text longer than the message", bytes: hex("0a0561"), reason: /cut off/ },
  { name: "a length of 32 bits", bytes: hex("0affffffff0f61"), reason: /cut off/ },
  { name: "a length of 64 bits", bytes: hex("0affffffffffffffffff0161"), reason: /cut off/ },
  { name: "a message that ends in its inner one", bytes: hex("42031896"), reason: /cut off/ },
  { name: "eleven bytes of varint", bytes: hex("18ffffffffffffffffffff01"), reason: /64 bits/ },
  { name: "a varint of 65 bits", bytes: hex("18ffffffffffffffffff02"), reason: /64 bits/ },
  { name: "field 0", bytes: hex("0001"), reason: /out of range/ },
  { name: "a field beyond 2**29", bytes: hex("808080801001"), reason: /out of range/ },
  { name: "wire type 6", bytes: hex("1e"), reason: /wire type 6/ },
  { name: "wire type 7 of an unknown field", bytes: hex("a706"), reason: /wire type 7/ },
  { name: "a text that is not UTF-8", bytes: hex("0a01ff"), reason: /UTF-8/ },
  { name: "a text with a surrogate", bytes: hex("0a03eda080"), reason: /UTF-8/ },
  { name: "a group that did not begin", bytes: hex("a406"), reason: /did not begin/ },
  { name: "a group with another's end", bytes: hex("a306ac06"), reason: /did not begin/ },
  { name: "a group that does not end", bytes: hex("a306"), reason: /cut off/ },
  { name: "100 groups in each other", bytes: hex("a306".repeat(100)), reason: /too deep/ },
  { name: "100 messages in each other", bytes: nested(100), reason: /too deep/ },
  {
    name: "a million empty elements",
    bytes: times(hex("820100"), 1_000_000),
    reason: /elements/,
  },
  {
    name: "a million packed numbers",
    bytes: joined(hex("52c0843d"), new Uint8Array(1_000_000)),
    reason: /elements/,
  },
];

for (const { name, bytes, reason } of MALFORMED) {
  Deno.test(`codec: refuses ${name}`, () => {
    assert.throws(() => Everything.decode(bytes), (error) => {
      assert(error instanceof MalformedMessageError);
      assert.match(error.message, reason);
      assert.match(error.message, /^decode test\.Everything: /);
      return true;
    });
  });
}

Deno.test("codec: takes thirty messages in each other, and what numbers may stand for bigints", () => {
  let value = Everything.decode(nested(30));
  for (let depth = 0; depth < 30; depth++) value = value.inner!;
  assert.deepEqual(value, EMPTY);
  assert.equal(Everything.decode(Everything.encode({ large: 7, numbers: [1, 2n] })).large, 7n);
});

Deno.test("codec: what is decoded does not share the buffer", () => {
  const bytes = Everything.encode({ raw: new Uint8Array([1, 2]) });
  const { raw } = Everything.decode(bytes);
  bytes.fill(0);
  assert.deepEqual(raw, new Uint8Array([1, 2]));
});

Deno.test("codec: every message survives a round trip", () => {
  const random = new Random(1);
  for (const type of TYPES) {
    for (let round = 0; round < 20; round++) {
      const decoded = type.decode(type.encode(randomMessage(random, type) as never));
      assert.deepEqual(type.decode(type.encode(decoded as never)), decoded, type.name);
    }
  }
});

Deno.test("codec: what is encoded is what is decoded", () => {
  const random = new Random(2);
  for (let round = 0; round < 500; round++) {
    const value = randomMessage(random, Everything as MessageType<unknown>);
    const decoded = Everything.decode(Everything.encode(value as never));
    assert.deepEqual(decoded, withDefaults(value));
  }
});

Deno.test("codec: 10 000 damaged messages are decoded or refused", () => {
  const random = new Random(3);
  let refused = 0;
  for (let round = 0; round < 10_000; round++) {
    const type = random.pick(TYPES);
    const bytes = random.below(4) === 0
      ? random.bytes(random.below(64))
      : mutate(random, type.encode(randomMessage(random, type) as never));
    let decoded;
    try {
      decoded = type.decode(bytes);
    } catch (error) {
      assert(error instanceof MalformedMessageError, `${type.name} ${bytes.toHex()}: ${error}`);
      refused++;
      continue;
    }
    assert.deepEqual(type.decode(type.encode(decoded as never)), decoded, type.name);
  }
  assert(refused > 1000 && refused < 9000, `${refused} were refused`);
});

Deno.test("codec: messages travel as Any under the name that containerd expects", () => {
  const any = packAny(TaskExit, { containerId: "a", exitStatus: 137 });
  assert.equal(any.typeUrl, "containerd.events.TaskExit");
  assert.equal(unpackAny(TaskExit, any)?.exitStatus, 137);
  const typeUrl = `type.googleapis.com/${any.typeUrl}`;
  assert.equal(unpackAny(TaskExit, { ...any, typeUrl })?.containerId, "a");
  assert.equal(unpackAny(TaskOOM, any), undefined);
});

Deno.test("codec: times keep their milliseconds, before 1970 too", () => {
  for (const milliseconds of [0, 1, 1_700_000_000_123, -1, -1500]) {
    const bytes = TaskExit.encode({ exitedAt: timestampOf(milliseconds) });
    const { exitedAt } = TaskExit.decode(bytes);
    assert(exitedAt !== undefined && exitedAt.nanos >= 0 && exitedAt.nanos < 1e9);
    assert.equal(millisecondsOf(exitedAt), milliseconds);
  }
});

function hex(text: string): Uint8Array {
  return Uint8Array.fromHex(text);
}

function nested(depth: number): Uint8Array {
  let bytes: Uint8Array = new Uint8Array();
  for (let level = 0; level < depth; level++) bytes = wrap(bytes);
  return bytes;
}

function wrap(bytes: Uint8Array): Uint8Array {
  const size = bytes.length < 128 ? [bytes.length] : [bytes.length & 127 | 128, bytes.length >> 7];
  return joined(new Uint8Array([0x42, ...size]), bytes);
}

function times(bytes: Uint8Array, count: number): Uint8Array {
  const all = new Uint8Array(bytes.length * count);
  for (let at = 0; at < all.length; at += bytes.length) all.set(bytes, at);
  return all;
}

/** What a decoder adds to a message that was given without some of its fields. */
function withDefaults(value: Record<string, unknown>): Everything {
  const full = { ...EMPTY, ...value } as Everything;
  if (full.inner !== undefined) full.inner = withDefaults({ ...full.inner });
  full.inners = full.inners.map((it) => withDefaults({ ...it }));
  return full;
}
