/**
 * Rows under a header, in columns wide enough for their longest cell, three blanks between them. Nothing
 * comes after the last column's cells: one long cell there makes no other row longer.
 *
 * @returns lines, each with its newline
 */
export function formatTable(header: string[], rows: string[][]): string {
  const lines = [header, ...rows];
  const widths = header.slice(0, -1).map((_, column) => widest(lines, column));
  return lines
    .map((line) => line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("   "))
    .map((line) => `${line.trimEnd()}\n`)
    .join("");
}

/** Not by Math.max: its arguments are on the stack, and there may be any number of lines. */
function widest(lines: string[][], column: number): number {
  let width = 0;
  for (const line of lines) width = Math.max(width, line[column]!.length);
  return width;
}
