/** Arguments of `deno task bench`. */

/** The parts of the table, in the order in which they are measured. */
export const PARTS = ["command", "containerd", "pods", "agent", "files"] as const;
export type PartName = typeof PARTS[number];

/** What is to be measured. */
export interface Options {
  rounds: number;
  /** None with `guests`. */
  parts: readonly PartName[];
  /** Memory and scale are measured, with so many containers. */
  guests?: number;
  /** Where the table goes as JSON. */
  json?: string;
}

const DEFAULT_ROUNDS = 25;
const DEFAULT_GUESTS = 200;
const USAGE = `usage: bench [ROUNDS [${PARTS.join("|")}]] [--guests[=COUNT]] [--json FILE]`;

/** @throws Error that says how it is called */
export function parseOptions(args: readonly string[]): Options {
  const words = [...args];
  const json = takeValue(words, "--json");
  const guests = takeGuests(words);
  const [rounds = `${DEFAULT_ROUNDS}`, part, ...more] = words;
  const chosen = part === undefined ? PARTS : PARTS.filter((it) => it === part);
  const isUnknown = chosen.length === 0 || (guests !== undefined && part !== undefined);
  if (!NUMBER.test(rounds) || isUnknown || more.length > 0) throw new Error(USAGE);
  return {
    rounds: Number(rounds),
    parts: guests === undefined ? chosen : [],
    ...(guests === undefined ? {} : { guests }),
    ...(json === undefined ? {} : { json }),
  };
}

const NUMBER = /^[1-9]\d*$/;

/** Takes `--guests` or `--guests=COUNT` out of the words. */
function takeGuests(words: string[]): number | undefined {
  const at = words.findIndex((it) => it === "--guests" || it.startsWith("--guests="));
  if (at < 0) return undefined;
  const [, count = `${DEFAULT_GUESTS}`] = words.splice(at, 1)[0]!.split("=");
  if (!NUMBER.test(count)) throw new Error(USAGE);
  return Number(count);
}

/** Takes an option and its value out of the words. */
function takeValue(words: string[], name: string): string | undefined {
  const at = words.indexOf(name);
  if (at < 0) return undefined;
  const [, value] = words.splice(at, 2);
  if (value === undefined) throw new Error(USAGE);
  return value;
}
