/** Writes manual pages: macros of man(7), with everything escaped that roff would take for its own. */

/** A line of running text. */
export function roffText(text: string): string {
  const escaped = text.replaceAll("\\", "\\e").replaceAll("-", "\\-");
  // A line that begins so is a request: groff(7), "Control characters".
  return /^[.']/.test(escaped) ? `\\&${escaped}` : escaped;
}

/** A section and its content. */
export function roffSection(title: string, ...content: string[]): string[] {
  return [`.SH ${roffText(title)}`, ...content];
}

/** A paragraph. */
export function roffParagraph(text: string): string[] {
  return [".PP", roffText(text)];
}

/** A term in bold, and what it means below it, indented. */
export function roffTerm(term: string, ...meaning: string[]): string[] {
  return [".TP", `.B ${roffText(term)}`, ...meaning.map(roffText)];
}

/** Lines that stay as they are. */
export function roffExample(lines: string[]): string[] {
  return [".PP", ".nf", ".RS", ...lines.map(roffText), ".RE", ".fi"];
}

/** The head of a page: its name, section and what it belongs to. */
export function roffHead(name: string, section: number, version: string): string {
  return `.TH ${roffText(name.toUpperCase())} ${section} "" "urunc ${version}" "urunc"`;
}
