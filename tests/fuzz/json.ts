/** JSON that was a valid document: with other values, keys, depths, numbers, duplicates and bytes. */
import * as fc from "fast-check";
import { joined } from "./bytes.ts";

/** A document that can have what a JavaScript object cannot: a key twice, any number's text. */
type Node =
  | { kind: "object"; entries: [key: string, value: Node][] }
  | { kind: "array"; items: Node[] }
  | { kind: "text"; text: string };

const LONG = JSON.stringify("x".repeat(5000));

/** Values as they stand in the text. */
const VALUES = [
  ...["null", "true", "false", "0", "1", "-1", "-0", "1.5", "1e3", "1e999", "-1e999", "1e-400"],
  ...["255", "65536", "2147483647", "2147483648", "4294967294", "4294967295", "4294967296"],
  ...["9007199254740991", "9007199254740993", "9223372036854775807", "9223372036854775808"],
  ...["18446744073709551615", "18446744073709551616", "123456789012345678901234567890"],
  ...['""', '"0"', '"/"', '"."', '"../../etc/shadow"', '"a,b=c"', '"a\\nb"', '"\\u0000"'],
  ...['"\\ud800"', '"\\u001b[31m"', '"=x"', '"-1"', '"bind"', '"/dev/sda"', '"/a.img"', LONG],
  ...["[]", "{}", "[null]", "[[]]", "[{}]", '{"a":1}', '{"__proto__":{"x":1}}', "[1,2,3]"],
  ...['{"type":"user"}', '{"path":"/x"}', "NaN", "01", "'x'", "[1,]", '"\t"'],
];

const KEYS = [
  ...["__proto__", "constructor", "toString", "hasOwnProperty", "prototype", "valueOf", "then"],
  ...["", "a b", "a.b", "length", "0", "\u0000", "\ud800", "type", "path", "x".repeat(3000)],
];

/** Of arrays around a value; the last is more than a stack holds. */
const DEPTHS = [1, 2, 31, 33, 200, 20_000];

type Edit = [at: number, kind: number, choice: number];

const edits = fc.array(fc.tuple(fc.nat(), fc.nat(11), fc.nat()), { maxLength: 4 });
const endings = fc.tuple(fc.nat(30), fc.nat());

/**
 * Documents made from valid ones.
 *
 * @param valid at least one; JSON values
 */
export function hostileJson(...valid: unknown[]): fc.Arbitrary<Uint8Array> {
  return fc.tuple(fc.nat(valid.length - 1), edits, endings).map(([index, changes, ending]) => {
    const root = { kind: "array", items: [nodeOf(valid[index])] } satisfies Node;
    for (const change of changes) edit(root, change);
    return finish(new TextEncoder().encode(textOf(root.items[0]!)), ending);
  });
}

/** The same as text; what is not UTF-8 has replacement characters. */
export function hostileJsonText(...valid: unknown[]): fc.Arbitrary<string> {
  return hostileJson(...valid).map((bytes) => new TextDecoder().decode(bytes));
}

/** A place in the document. */
interface Slot {
  get(): Node;
  set(node: Node): void;
  holder: Extract<Node, { kind: "object" | "array" }>;
  index: number;
}

function edit(root: Extract<Node, { kind: "array" }>, [at, kind, choice]: Edit): void {
  const slots: Slot[] = [];
  collect(root, slots);
  const slot = slots[at % slots.length]!;
  const value = (): Node => ({ kind: "text", text: VALUES[choice % VALUES.length]! });
  const { holder, index } = slot;
  const key = KEYS[choice % KEYS.length]!;
  switch (kind) {
    case 0:
      if (holder !== root) remove(holder, index);
      return;
    case 1:
      if (holder.kind === "object") holder.entries[index]![0] = key;
      return;
    case 2:
      if (holder.kind === "object") holder.entries.push([holder.entries[index]![0], value()]);
      else if (holder !== root) holder.items.push(slot.get());
      return;
    case 3:
      if (holder.kind === "object") holder.entries.push([key, value()]);
      return;
    case 4:
      slot.set(nested(slot.get(), DEPTHS[choice % DEPTHS.length]!));
      return;
    case 5:
      slot.set({ kind: "text", text: textOf(slots[choice % slots.length]!.get()) });
      return;
    default:
      slot.set(value());
  }
}

function remove(holder: Slot["holder"], index: number): void {
  if (holder.kind === "object") holder.entries.splice(index, 1);
  else holder.items.splice(index, 1);
}

/** As text, which needs no stack. */
function nested(node: Node, depth: number): Node {
  const text = textOf(node);
  return depth % 2 === 0
    ? { kind: "text", text: "[".repeat(depth) + text + "]".repeat(depth) }
    : { kind: "text", text: '{"a":'.repeat(depth) + text + "}".repeat(depth) };
}

function collect(node: Node, slots: Slot[]): void {
  if (node.kind === "text") return;
  const values = node.kind === "object" ? node.entries : node.items;
  values.forEach((_, index) => {
    const slot: Slot = {
      holder: node,
      index,
      get: () => node.kind === "object" ? node.entries[index]![1] : node.items[index]!,
      set(value) {
        if (node.kind === "object") node.entries[index]![1] = value;
        else node.items[index] = value;
      },
    };
    slots.push(slot);
    collect(slot.get(), slots);
  });
}

function nodeOf(value: unknown): Node {
  if (Array.isArray(value)) return { kind: "array", items: value.map(nodeOf) };
  if (typeof value !== "object" || value === null) {
    return { kind: "text", text: JSON.stringify(value) };
  }
  const entries = Object.entries(value).filter(([, it]) => it !== undefined);
  return { kind: "object", entries: entries.map(([key, it]) => [key, nodeOf(it)]) };
}

function textOf(node: Node): string {
  switch (node.kind) {
    case "text":
      return node.text;
    case "array":
      return `[${node.items.map(textOf).join(",")}]`;
    case "object":
      return `{${node.entries.map(([key, it]) => `${JSON.stringify(key)}:${textOf(it)}`).join()}}`;
  }
}

/** What comes after the text is made: most are left alone. */
function finish(bytes: Uint8Array, [kind, value]: [number, number]): Uint8Array {
  const at = value % (bytes.length + 1);
  switch (kind) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return joined(bytes.subarray(0, at), Uint8Array.of(0xff, 0xfe), bytes.subarray(at));
    case 2:
      return joined(bytes, Uint8Array.of(value));
    case 3:
      return joined(Uint8Array.of(0xef, 0xbb, 0xbf), bytes);
    case 4:
      return joined(bytes.subarray(0, at), Uint8Array.of(value), bytes.subarray(at + 1));
    default:
      return bytes;
  }
}
