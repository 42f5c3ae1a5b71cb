/** What the compiler makes of a table: these tests fail in `deno check`. */
import assert from "node:assert/strict";
import {
  bool,
  bytes,
  embedded,
  message,
  repeated,
  string,
  uint32,
  uint64,
} from "../../../../lib/protocol/protobuf/schema.ts";
import type { MessageOf } from "../../../../lib/protocol/protobuf/types.ts";

const Inner = message("test.Inner", () => ({ raw: bytes(1) }));
const Outer = message("test.Outer", () => ({
  text: string(1),
  flag: bool(2),
  small: uint32(3),
  large: uint64(4),
  inner: embedded(5, Inner),
  inners: repeated(embedded(6, Inner)),
}));
type Outer = MessageOf<typeof Outer>;

const PLAIN: Outer = { text: "", flag: false, small: 0, large: 0n, inners: [] };

Deno.test("types: a message that is read has all fields but messages", () => {
  assert.deepEqual(Outer.decode(new Uint8Array()), PLAIN);
  const full: Outer = { ...PLAIN, inner: { raw: new Uint8Array() } };
  // @ts-expect-error: the message may be left out
  const raw: Uint8Array = full.inner.raw;
  assert.equal(raw.length, 0);
});

Deno.test("types: a message that is read has no field too many, too few, or of another type", () => {
  // @ts-expect-error: `text` is missing
  const missing: Outer = { flag: false, small: 0, large: 0n, inners: [] };
  // @ts-expect-error: there is no such field
  const unknown: Outer = { ...PLAIN, other: 1 };
  // @ts-expect-error: a number is not 64 bits
  const number: Outer = { ...PLAIN, large: 1 };
  // @ts-expect-error: a list of messages
  const list: Outer = { ...PLAIN, inners: [{ raw: "" }] };
  for (const it of [missing, unknown, number, list]) assert.notDeepEqual(it, PLAIN);
});

Deno.test("types: a message that is written may lack fields, and have numbers for 64 bits", () => {
  const written = Outer.encode({ large: 1, inners: [{}] });
  assert.deepEqual(Outer.decode(written), {
    ...PLAIN,
    large: 1n,
    inners: [{ raw: new Uint8Array() }],
  });
  // @ts-expect-error: there is no such field
  assert.equal(Outer.encode({ other: 1 }).length, 0);
  // @ts-expect-error: a text is not bytes
  assert.throws(() => Outer.encode({ inner: { raw: 7n } }));
});
