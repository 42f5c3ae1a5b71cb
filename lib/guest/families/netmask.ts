/**
 * The dotted netmask of a prefix length.
 *
 * @param prefixLength from 0 to 32
 */
export function netmaskOf({ prefixLength }: { prefixLength: number }): string {
  return [0, 8, 16, 24]
    .map((bitsBefore) => Math.min(8, Math.max(0, prefixLength - bitsBefore)))
    .map((bits) => 256 - 2 ** (8 - bits))
    .join(".");
}
