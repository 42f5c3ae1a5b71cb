const SUFFIXES = "KMGTPE";

/**
 * A size as files of cgroups take it: a number with one of the kernel's suffixes, or none.
 *
 * @returns bytes; undefined for `max`, and for what only the kernel can judge
 * @see memparse in the kernel's lib/cmdline.c
 */
export function parseKernelSize(text: string): bigint | undefined {
  const match = /^(\d{1,20})([KMGTPE]?)$/i.exec(text.trim());
  if (match === null) return undefined;
  const [, digits, suffix] = match;
  const power = suffix === "" ? 0 : SUFFIXES.indexOf(suffix!.toUpperCase()) + 1;
  return BigInt(digits!) << BigInt(10 * power);
}
