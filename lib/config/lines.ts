/**
 * Finds the lines of a TOML document's keys, for messages: the TOML parser does not say where a value was.
 * It reads what people write in a configuration file, tables and keys a line each; a key that stands inside
 * of an inline table has the line of that one.
 *
 * @param toml a document that the TOML parser accepts
 * @returns line numbers from 1, by the path of a key or table as errors name it: `monitors.qemu.path`
 */
export function keyLines(toml: string): ReadonlyMap<string, number> {
  const lines = new Map<string, number>();
  let table: string[] = [];
  let quotes: string | undefined;
  toml.split("\n").forEach((line, index) => {
    const inside = quotes;
    quotes = openQuotes(line, quotes);
    if (inside !== undefined) return;
    const [, header] = /^\s*\[\[?([^[\]]+)\]\]?\s*(?:#.*)?$/.exec(line) ?? [];
    if (header !== undefined) table = splitKey(header);
    const [, key] = header === undefined ? KEY.exec(line) ?? [] : [];
    if (header === undefined && key === undefined) return;
    const parts = [...table, ...key === undefined ? [] : splitKey(key)];
    // Dots name the tables in between, too.
    parts.forEach((_, last) => {
      const path = formatKey(parts.slice(0, last + 1));
      if (!lines.has(path)) lines.set(path, index + 1);
    });
  });
  return lines;
}

/** What stands before a value: bare or quoted keys, with dots between them. */
const KEY =
  /^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=/;

/** The quotes of a string of several lines that is open after a line; undefined: none. */
function openQuotes(line: string, open: string | undefined): string | undefined {
  for (const [quotes] of line.matchAll(/"""|'''/g)) {
    if (open === undefined) open = quotes;
    else if (open === quotes) open = undefined;
  }
  return open;
}

function splitKey(key: string): string[] {
  return [...key.matchAll(/"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+)/g)]
    .map(([, double, single, bare]) => double ?? single ?? bare ?? "");
}

/** As `Place` of lib/decode names it. */
function formatKey(parts: string[]): string {
  return parts.reduce(
    (path, key) =>
      !/^[A-Za-z_][A-Za-z0-9_]{0,119}$/.test(key)
        ? `${path}[${JSON.stringify(key)}]`
        : path === ""
        ? key
        : `${path}.${key}`,
    "",
  );
}

/**
 * The line of a key, or of the nearest table around it.
 *
 * @param paths that the key may have, as errors name it; an element of an array has the line of the array
 * @returns undefined when the document has none of them
 */
export function lineOf(lines: ReadonlyMap<string, number>, paths: string[]): number | undefined {
  for (let at = paths; at.some((path) => path !== ""); at = at.map(parentOf)) {
    const found = at.find((path) => lines.has(path));
    if (found !== undefined) return lines.get(found);
  }
  return undefined;
}

function parentOf(path: string): string {
  return path.replace(/(?:^|\.)[^.[\]]+$|\[[^\]]*\]$/, "");
}
