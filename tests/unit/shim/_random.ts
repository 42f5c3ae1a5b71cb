import type { Field, MessageType } from "../../../lib/protocol/protobuf/types.ts";

/** Random numbers that are the same in every run. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** 32 bits; the algorithm is mulberry32. */
  uint32(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** @returns from 0 to limit - 1 */
  below(limit: number): number {
    return this.uint32() % limit;
  }

  bytes(size: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length: size }, () => this.below(256));
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

/** Messages in messages, for types that hold themselves. */
const MAXIMUM_DEPTH = 4;

const TEXTS = [
  "",
  "a",
  "0",
  "/run/containerd/io.containerd.runtime.v2.task/k8s.io/x",
  "Grüße",
  "雪😀",
];

/** A message with values at and between the limits; about one field of three is left out. */
export function randomMessage(
  random: Random,
  type: MessageType<unknown>,
  depth = MAXIMUM_DEPTH,
): Record<string, unknown> {
  const message: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(type.fields)) {
    const isLeftOut = random.below(3) === 0 || depth === 0 && field.kind === "message";
    if (!isLeftOut) message[name] = randomValue(random, field, depth);
  }
  return message;
}

function randomValue(random: Random, field: Field<unknown>, depth: number): unknown {
  if (field.repeated) {
    const one = { ...field, repeated: false };
    return Array.from({ length: random.below(4) }, () => randomValue(random, one, depth));
  }
  switch (field.kind) {
    case "string":
      return random.pick(TEXTS);
    case "bytes":
      return random.bytes(random.below(300));
    case "bool":
      return random.below(2) === 1;
    case "uint32":
      return random.pick([0, 1, 127, 128, 2 ** 31, 2 ** 32 - 1, random.uint32()]);
    case "int32":
      return random.pick([0, 1, -1, 2 ** 31 - 1, -(2 ** 31), random.uint32() | 0]);
    case "uint64":
      return random.pick([0n, 1n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n, BigInt(random.uint32())]);
    case "int64":
      return random.pick([0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), BigInt(random.uint32())]);
    case "message":
      return randomMessage(random, field.type!, depth - 1);
  }
}

/** Damages bytes in one of the ways in which bytes get damaged, or are made to hurt. */
export function mutate(random: Random, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const at = random.below(bytes.length + 1);
  const before = bytes.subarray(0, at);
  switch (random.below(6)) {
    case 0:
      return new Uint8Array(before);
    case 1:
      return joined(before, random.bytes(1 + random.below(8)), bytes.subarray(at));
    case 2:
      return joined(before, bytes.subarray(at + 1 + random.below(4)));
    case 3:
      return joined(before, new Uint8Array(1 + random.below(12)).fill(0xff), bytes.subarray(at));
    case 4:
      return joined(before, bytes, bytes.subarray(at));
    default: {
      const copy = new Uint8Array(bytes);
      for (let flips = 1 + random.below(3); flips > 0 && copy.length > 0; flips--) {
        copy[random.below(copy.length)]! ^= 1 << random.below(8);
      }
      return copy;
    }
  }
}

/** @returns all parts, one after the other */
export function joined(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
