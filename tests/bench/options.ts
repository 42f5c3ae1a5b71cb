/** Arguments of `deno task bench`. */

/** The parts of the table, in the order in which they are measured. */
export const PARTS = ["command", "containerd"] as const;
export type PartName = typeof PARTS[number];

/** What is to be measured. */
export interface Options {
  rounds: number;
  parts: readonly PartName[];
  /** Where the table goes as JSON. */
  json?: string;
}

const DEFAULT_ROUNDS = 25;
const USAGE = `usage: bench [ROUNDS [${PARTS.join("|")}]] [--json FILE]`;

/** @throws Error that says how it is called */
export function parseOptions(args: readonly string[]): Options {
  const words = [...args];
  const json = takeValue(words, "--json");
  const [rounds = `${DEFAULT_ROUNDS}`, part, ...more] = words;
  const parts = part === undefined ? PARTS : PARTS.filter((it) => it === part);
  if (!/^[1-9]\d*$/.test(rounds) || parts.length === 0 || more.length > 0) throw new Error(USAGE);
  return { rounds: Number(rounds), parts, ...(json === undefined ? {} : { json }) };
}

/** Takes an option and its value out of the words. */
function takeValue(words: string[], name: string): string | undefined {
  const at = words.indexOf(name);
  if (at < 0) return undefined;
  const [, value] = words.splice(at, 2);
  if (value === undefined) throw new Error(USAGE);
  return value;
}
