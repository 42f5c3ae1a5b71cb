/**
 * What a reader may have meant by a name that is not known.
 *
 * @param name what was written
 * @param known what could have been
 * @returns `did you mean "…"?` when one is close, otherwise a list of all
 */
export function suggestion(name: string, known: readonly string[]): string {
  const [best] = known
    .map((candidate) => ({ candidate, distance: editDistance(name.slice(0, 100), candidate) }))
    .sort((a, b) => a.distance - b.distance);
  return best !== undefined && best.distance <= mostMistakes(name)
    ? `did you mean ${JSON.stringify(best.candidate)}?`
    : `known: ${known.join(", ")}`;
}

/** A short word is not a misspelt other one: `type` is not `state`. Dashes of options do not count. */
function mostMistakes(name: string): number {
  return Math.min(3, Math.floor(name.replace(/^-+/, "").length / 3));
}

/**
 * Insertions, deletions and replacements of a character, and exchanges of two neighbours, that lead from one
 * string to the other.
 */
export function editDistance(from: string, to: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const replaced = previous[column - 1]! + (from[row - 1] === to[column - 1] ? 0 : 1);
      const exchanged = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
        ? before[column - 2]! + 1
        : Infinity;
      current.push(Math.min(replaced, exchanged, previous[column]! + 1, current[column - 1]! + 1));
    }
    before = previous;
    previous = current;
  }
  return previous[to.length]!;
}
