/** Of a fact that two nodes do not agree on: its path, and both values; undefined where it is missing. */
export interface Difference {
  path: string;
  one: unknown;
  other: unknown;
}

/** What differs from moment to moment on one node, and what a configuration says twice. */
const IGNORED = ["containers"];

/**
 * Compares the facts of two reports.
 *
 * @returns in the order of paths; an array of plain values is one fact
 */
export function compareFacts(one: unknown, other: unknown): Difference[] {
  const ours = new Map(flatten("", one));
  const theirs = new Map(flatten("", other));
  return [...new Set([...ours.keys(), ...theirs.keys()])]
    .filter((path) => !IGNORED.some((it) => path === it || path.startsWith(`${it}[`)))
    .filter((path) => JSON.stringify(ours.get(path)) !== JSON.stringify(theirs.get(path)))
    .sort()
    .map((path) => ({ path, one: ours.get(path), other: theirs.get(path) }));
}

function flatten(path: string, value: unknown): [string, unknown][] {
  if (Array.isArray(value) && value.some((it) => typeof it === "object" && it !== null)) {
    return value.flatMap((it, index) => flatten(`${path}[${index}]`, it));
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [[path, value]];
  return Object.entries(value).flatMap(([key, it]) =>
    flatten(path === "" ? key : `${path}.${key}`, it)
  );
}
