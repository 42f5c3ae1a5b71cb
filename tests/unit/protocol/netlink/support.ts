/** @returns the bytes of a hexadecimal text; blanks are for the reader */
export function bytes(hex: string): Uint8Array {
  const digits = hex.replaceAll(/\s/g, "");
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => {
    return Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  });
}

/** @returns a generator of numbers from 0 to below a limit, the same in every run (xorshift32) */
export function random(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % Math.max(1, limit);
  };
}
