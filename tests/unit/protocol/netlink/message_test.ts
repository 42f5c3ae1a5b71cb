import assert from "node:assert/strict";
import { HostError } from "../../../../lib/errors.ts";
import {
  cString,
  decodeAttributes,
  decodeMessages,
  encodeMessage,
  numberOf,
  textOf,
  u32,
} from "../../../../lib/protocol/netlink/message.ts";
import { bytes, random } from "./support.ts";

const header = { type: 16, flags: 5, sequence: 7, port: 9 };

Deno.test("encodeMessage lays out header, structure, attributes and their padding", () => {
  const cases = [
    {
      payload: [0xaa, 0xbb, 0xcc, 0xdd],
      attributes: [],
      expected: "14000000 1000 0500 07000000 09000000 aabbccdd",
    },
    {
      payload: [0xaa, 0xbb, 0xcc, 0xdd],
      attributes: [{ type: 3, value: cString("lo") }, { type: 4, value: u32(1500) }],
      expected:
        "24000000 1000 0500 07000000 09000000 aabbccdd 0700 0300 6c6f0000 0800 0400 dc050000",
    },
    {
      payload: [0xaa],
      attributes: [{ type: 1, value: new Uint8Array() }],
      expected: "18000000 1000 0500 07000000 09000000 aa000000 0400 0100",
    },
    {
      payload: [],
      attributes: [{ type: 2, value: [{ type: 1, value: new Uint8Array([5]) }] }],
      expected: "1c000000 1000 0500 07000000 09000000 0c00 0280 0500 0100 05000000",
    },
  ];
  for (const { payload, attributes, expected } of cases) {
    const encoded = encodeMessage({ ...header, payload: new Uint8Array(payload) }, attributes);
    assert.deepEqual(encoded, bytes(expected));
  }
});

Deno.test("decodeMessages splits what encodeMessage made, also at an odd offset", () => {
  const one = encodeMessage({ ...header, payload: u32(1) }, [{ type: 3, value: cString("eth0") }]);
  const two = encodeMessage({ ...header, type: 3, payload: new Uint8Array() });
  const buffer = new Uint8Array([0xff, ...one, ...two]);
  const [first, second, ...rest] = decodeMessages(buffer.subarray(1));
  assert.deepEqual(rest, []);
  assert.deepEqual({ ...first, payload: undefined }, { ...header, payload: undefined });
  const attributes = decodeAttributes(first!.payload, 4);
  assert.equal(textOf(attributes.get(3)!), "eth0");
  assert.deepEqual(second, { ...header, type: 3, payload: new Uint8Array() });
  assert.deepEqual(decodeMessages(new Uint8Array()), []);
});

Deno.test("decodeMessages refuses impossible lengths", () => {
  const cases = [
    ["a cut header", "10000000 0300"],
    ["a length below the header's", "0f000000 0300 0000 00000000 00000000"],
    ["length 0, which would never end", "00000000 0300 0000 00000000 00000000"],
    ["a length beyond the end", "11000000 0300 0000 00000000 00000000"],
    ["a huge length", "ffffffff 0300 0000 00000000 00000000"],
  ];
  for (const [what, hex] of cases) {
    assert.throws(() => decodeMessages(bytes(hex!)), HostError, what);
  }
});

Deno.test("decodeAttributes refuses impossible lengths", () => {
  const cases = [
    ["a cut header", "0400"],
    ["length 0, which would never end", "00000100"],
    ["a length below the header's", "03000100"],
    ["a length beyond the end", "09000100 00000000"],
  ];
  for (const [what, hex] of cases) {
    assert.throws(() => decodeAttributes(bytes(hex!)), HostError, what);
  }
  assert.throws(() => decodeAttributes(new Uint8Array(3), 4), HostError, "a cut structure");
});

Deno.test("decodeAttributes masks the flags of a type and keeps the last of two", () => {
  const attributes = decodeAttributes(bytes("0500 0280 01000000 0500 0200 02000000"));
  assert.deepEqual([...attributes], [[2, new Uint8Array([2])]]);
});

Deno.test("numberOf distinguishes missing from malformed", () => {
  assert.equal(numberOf(undefined), undefined);
  assert.equal(numberOf(bytes("ffffffff")), 0xffffffff);
  assert.throws(() => numberOf(bytes("0102")), HostError);
});

Deno.test("decoding random and damaged bytes ends, in data or in a HostError", () => {
  const next = random(1);
  const valid = encodeMessage({ ...header, payload: new Uint8Array(16) }, [
    { type: 3, value: cString("eth0") },
    { type: 18, value: [{ type: 1, value: cString("veth") }] },
  ]);
  for (let round = 0; round < 20_000; round++) {
    const input = round % 2 === 0
      ? Uint8Array.from({ length: next(96) }, () => next(256))
      : valid.slice(0, 1 + next(valid.length));
    for (let i = next(4); i > 0; i--) input[next(input.length)] = next(256);
    try {
      for (const { payload } of decodeMessages(input)) decodeAttributes(payload, 16);
    } catch (error) {
      assert.ok(error instanceof HostError, String(error));
    }
  }
});
