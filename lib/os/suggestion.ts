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
  return best !== undefined && best.distance <= 3
    ? `did you mean ${JSON.stringify(best.candidate)}?`
    : `known: ${known.join(", ")}`;
}

/** Insertions, deletions and replacements of a character that lead from one string to the other. */
export function editDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const replaced = previous[column - 1]! + (from[row - 1] === to[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, previous[column]! + 1, current[column - 1]! + 1));
    }
    previous = current;
  }
  return previous[to.length]!;
}
