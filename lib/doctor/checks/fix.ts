/** A word of the shell, whatever is in it. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Text that a basic regular expression matches literally, in sed's command with `|` (sed(1), regex(7)). */
function literal(text: string): string {
  return text.replaceAll(/[\\.*^$[\]|]/g, "\\$&");
}

/** What sed puts in place literally. */
function replacement(text: string): string {
  return text.replaceAll(/[\\&|]/g, "\\$&");
}

/**
 * A command that replaces text in a file.
 *
 * @param line the only one where it is replaced, from 1; undefined: in all
 */
export function replaceIn(path: string, from: string, to: string, line?: number): string {
  return `sed -i ${quote(`${line ?? ""}s|${literal(from)}|${replacement(to)}|`)} ${path}`;
}
