import assert from "node:assert/strict";
import { Reader } from "../../../../lib/protocol/dbus/reader.ts";
import { parseSignature, type Value } from "../../../../lib/protocol/dbus/values.ts";
import { Writer } from "../../../../lib/protocol/dbus/writer.ts";
import { HostError } from "../../../../lib/errors.ts";

function write(signature: string, values: Value[]): Uint8Array {
  const writer = new Writer();
  writer.write(signature, values);
  return writer.bytes;
}

function read(signature: string, hex: string, littleEndian = true): Value[] {
  return new Reader(Uint8Array.fromHex(hex.replaceAll(" ", "")), littleEndian).read(signature);
}

/** As the specification describes each, "Marshaling"; little-endian. */
const CASES: [what: string, signature: string, values: Value[], hex: string][] = [
  ["nothing", "", [], ""],
  ["a byte", "y", [255], "ff"],
  ["true", "b", [true], "01000000"],
  [
    "numbers, each aligned to its size",
    "yqyuyt",
    [1, 2, 3, 4, 5, 6n],
    [
      "01 00 0200 03 000000 04000000 05 000000",
      "0600000000000000",
    ].join(""),
  ],
  ["negative numbers", "nix", [-1, -2, -3n], "ffff 0000 feffffff fdffffffffffffff"],
  [
    "the largest numbers",
    "ut",
    [2 ** 32 - 1, 2n ** 64n - 1n],
    "ffffffff 00000000 ffffffffffffffff",
  ],
  ["a fraction", "d", [1.5], "000000000000f83f"],
  ["text", "ss", ["foo", "+"], "03000000 666f6f00 01000000 2b00"],
  ["text that is not ASCII", "s", ["é"], "02000000 c3a900"],
  ["a path and a signature", "og", ["/a", "as"], "02000000 2f6100 02 617300"],
  ["a variant", "v", [{ signature: "u", value: 7 }], "01 7500 00 07000000"],
  ["an array, padded before its first element", "at", [[1n]], "08000000 00000000 0100000000000000"],
  ["an empty array, padded all the same", "at", [[]], "00000000 00000000"],
  ["bytes", "ay", [new Uint8Array([1, 2])], "02000000 0102"],
  [
    "structures",
    "a(ys)",
    [[[1, "a"], [2, "b"]]],
    [
      "1a000000 00000000",
      "01 000000 01000000 6100 0000 00000000",
      "02 000000 01000000 6200",
    ].join(""),
  ],
  [
    "a dictionary",
    "a{sv}",
    [[["k", { signature: "b", value: false }]]],
    [
      "10000000 00000000",
      "01000000 6b00 01 6200 000000 00000000",
    ].join(""),
  ],
  ["an array of arrays", "aau", [[[1], []]], "0c000000 04000000 01000000 00000000"],
];

for (const [what, signature, values, hex] of CASES) {
  const clean = hex.replaceAll(" ", "");
  Deno.test(`marshalled: ${what}`, () => {
    assert.equal(write(signature, values).toHex(), clean);
  });
  Deno.test(`unmarshalled: ${what}`, () => {
    assert.deepEqual(read(signature, clean), values);
  });
}

Deno.test("unmarshalled, big-endian: numbers and text", () => {
  assert.deepEqual(read("qus", "0001 0000 00000002 00000001 6100", false), [1, 2, "a"]);
});

Deno.test("a large message grows as needed and keeps what is in it", () => {
  const texts = Array.from({ length: 1000 }, (_, index) => "x".repeat(index % 50));
  const bytes = write("as", [texts]);
  assert.deepEqual(new Reader(bytes, true).read("as"), [texts]);
});

const UNWRITABLE: [what: string, signature: string, values: Value[]][] = [
  ["too few values", "ss", ["a"]],
  ["text for a number", "u", ["1"]],
  ["a number for a bigint", "t", [1]],
  ["a bigint for a number", "u", [1n]],
  ["a number that does not fit", "u", [2 ** 32]],
  ["a negative one", "u", [-1]],
  ["a large signed one", "i", [2 ** 31]],
  ["a large byte", "y", [256]],
  ["a number for a boolean", "b", [1]],
  ["text with NUL", "s", ["a\0b"]],
  ["a signature that is none", "g", ["aa"]],
  ["one value for an array", "as", ["a"]],
  ["a structure with too few fields", "(ss)", [["a"]]],
  ["no variant", "v", ["a"]],
  ["bytes for texts", "as", [new Uint8Array(1)]],
];

for (const [what, signature, values] of UNWRITABLE) {
  Deno.test(`not marshalled: ${what}`, () => {
    assert.throws(() => write(signature, values), HostError);
  });
}

const UNREADABLE: [what: string, signature: string, hex: string][] = [
  ["too few bytes", "u", "000000"],
  ["padding that is not zero", "yu", "01 000100 00000000"],
  ["a boolean of 2", "b", "02000000"],
  ["a text longer than the message", "s", "ffffffff 6100"],
  ["a text without its end", "s", "01000000 6161"],
  ["a text with NUL", "s", "02000000 610000"],
  ["a text that is not UTF-8", "s", "01000000 ff00"],
  ["an array longer than the message", "au", "08000000 00000000"],
  ["an array that ends within an element", "au", "06000000 00000000 00000000"],
  ["a variant of two types", "v", "02 7575 00 00000000 00000000"],
  ["a variant of none", "v", "00 00"],
  ["a variant of an unknown type", "v", "01 7a00"],
  ["variants in variants without end", "v", "01 7600".repeat(100)],
];

for (const [what, signature, hex] of UNREADABLE) {
  Deno.test(`not unmarshalled: ${what}`, () => {
    assert.throws(() => read(signature, hex), HostError);
  });
}

for (const bad of ["z", "a", "(", "(s", "()", "s)", "{", "{s}", "{sss}", "a".repeat(33) + "s"]) {
  Deno.test(`no signature: ${bad}`, () => assert.throws(() => parseSignature(bad), HostError));
}

for (const bad of ["(".repeat(40) + "s" + ")".repeat(40), "s".repeat(256)]) {
  Deno.test(`no signature: ${bad.length} characters`, () => {
    assert.throws(() => parseSignature(bad), HostError);
  });
}
