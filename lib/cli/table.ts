/**
 * Rows under a header, in columns wide enough for their longest cell, three blanks between them.
 *
 * @returns lines, each with its newline
 */
export function formatTable(header: string[], rows: string[][]): string {
  const lines = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) => line.map((cell, column) => cell.padEnd(widths[column]!)).join("   ").trimEnd())
    .map((line) => `${line}\n`)
    .join("");
}
