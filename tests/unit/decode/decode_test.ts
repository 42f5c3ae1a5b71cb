import assert from "node:assert/strict";
import { type Document, Fields, integer, Place, text } from "../../../lib/decode/decode.ts";
import { UruncError } from "../../../lib/errors.ts";

const DOCUMENT: Document = {
  object: "a table",
  error: (subject, reason, remedy) =>
    new UruncError({ operation: "read a test", subject, reason, remedy }),
};

const fields = (value: unknown) => new Fields(value, new Place(DOCUMENT));

const REFUSED: [what: string, decode: () => unknown, message: RegExp][] = [
  ["what is not an object", () => fields([]), /read a test "": found an array, allowed: a table$/],
  ["a date", () => fields(new Date(0)), /found a date, allowed: a table$/],
  [
    "what is missing",
    () => fields({}).required("a", text),
    /^read a test a: required, but missing/,
  ],
  ["null where something must be", () => fields({ a: null }).required("a", text), /missing/],
  ["another type", () => fields({ a: 1 }).optional("a", text), /a: found the number 1, allowed: a/],
  ["an element", () => fields({ a: ["", 2] }).list("a", text), /^read a test a\[1\]: found/],
  ["what is deeper", () => fields({ a: { b: 9 } }).section("a").optional("b", text), / a\.b: /],
  ["an odd key", () => fields({ "a b": 9 }).optional("a b", text), / \["a b"\]: found/],
  ["a number beyond", () => fields({ a: 9 }).optional("a", integer(0, 8)), /number from 0 to 8$/],
];

for (const [what, decode, message] of REFUSED) {
  Deno.test(`decode: ${what} is rejected with the document's error`, () => {
    assert.throws(decode, (error) => error instanceof UruncError && message.test(error.message));
  });
}

Deno.test("decode: what every object has is not a property", () => {
  assert.equal(fields({}).optional("constructor", text), undefined);
  assert.deepEqual(fields({ a: JSON.parse('{"__proto__": "x"}') }).textRecord("a"), {
    ["__proto__"]: "x",
  });
});

Deno.test("decode: a property that was not asked for is found", () => {
  const table = fields({ a: "", b: "", c: "" });
  table.optional("a", text);
  table.optional("d", text);
  const { at, key, known } = table.unknown()!;
  assert.deepEqual([at.path, key, known], ["b", "b", ["a", "d"]]);
  table.optional("b", text);
  table.optional("c", text);
  assert.equal(table.unknown(), undefined);
});
