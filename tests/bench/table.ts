/** The table that the benchmarks print, and the file that they write. */
import { run } from "../support/process.ts";

/** What values of one kind are like, in their row's unit. */
export interface Summary {
  minimum: number;
  median: number;
  mean: number;
  /** Of twenty, nineteen were not greater. */
  p95: number;
}

/** What was found of one subject. */
export interface Value extends Summary {
  /** `urunc`, `runc`, … */
  subject: string;
}

/** One row: subjects that did the same. */
export interface Row {
  name: string;
  unit: "ms" | "s" | "KiB" | "MB/s";
  values: Value[];
  /** Subjects that the others are divided by; of those that were measured. */
  bases?: string[];
  /** Ratios that are wanted, by the subject and what it is divided by. */
  wanted?: { subject: string; base: string; atMost: number }[];
}

/** A row that this machine does not have, and why. */
export interface MissingRow {
  name: string;
  reason: string;
}

/** What a benchmark found. */
export interface Table {
  rows: Row[];
  missing: MissingRow[];
}

/** @throws Error when there are none */
export function summarize(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  if (sorted.length === 0) throw new Error("nothing was measured");
  const middle = Math.floor(sorted.length / 2);
  return {
    minimum: sorted[0]!,
    median: sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2,
    mean: sorted.reduce((sum, value) => sum + value, 0) / sorted.length,
    p95: sorted[Math.ceil(sorted.length * 0.95) - 1]!,
  };
}

/** What a row wants when the same is wanted of several subjects. */
export function wantedOf(subjects: string[], base: string, atMost: number): Row["wanted"] {
  return subjects.map((subject) => ({ subject, base, atMost }));
}

/** The medians of a row that are compared, divided. */
export function ratiosOf(
  { values, bases = [], wanted = [] }: Row,
): { subject: string; base: string; ratio: number; atMost?: number }[] {
  return values.flatMap(({ subject, median }) =>
    values.filter((it) => bases.includes(it.subject) && !bases.includes(subject)).map((base) => {
      const pair = { subject, base: base.subject, ratio: median / base.median };
      const goal = wanted.find((it) => it.subject === subject && it.base === base.subject);
      return goal === undefined ? pair : { ...pair, atMost: goal.atMost };
    })
  );
}

const NAME_WIDTH = 40, SUBJECT_WIDTH = 24, NUMBER_WIDTH = 10;

/** A row as lines: one for each subject, with its ratios at the end. */
export function formatRow(row: Row): string {
  const ratios = ratiosOf(row);
  return row.values.map(({ subject, minimum, median, p95 }, index) => {
    const name = index === 0 ? `${row.name}, ${row.unit}` : "";
    const numbers = [minimum, median, p95].map((it) => formatNumber(it).padStart(NUMBER_WIDTH));
    const own = ratios.filter((it) => it.subject === subject).map(({ base, ratio, atMost }) =>
      `${ratio.toFixed(2)} of ${base}${atMost === undefined ? "" : ` (at most ${atMost} wanted)`}`
    );
    const line = name.padEnd(NAME_WIDTH) + subject.padEnd(SUBJECT_WIDTH) + numbers.join("");
    return own.length === 0 ? line : `${line}   ${own.join(", ")}`;
  }).join("\n");
}

function formatNumber(value: number): string {
  return value >= 1000 ? value.toFixed(0) : value.toFixed(1);
}

/** Prints a part of the table. */
export function printTable({ rows, missing }: Table): void {
  const columns = ["min", "median", "p95"].map((it) => it.padStart(NUMBER_WIDTH)).join("");
  if (rows.length > 0) console.log(`\n${"".padEnd(NAME_WIDTH + SUBJECT_WIDTH)}${columns}`);
  for (const row of rows) console.log(formatRow(row));
  for (const { name, reason } of missing) console.log(`${name}: not measured: ${reason}`);
}

/** What the machine is, and what was compared. */
export type Machine = Record<string, string | number>;

/** @param programs command lines that print a version, by the names of what they are of */
export async function machineFacts(programs: Record<string, string[]>): Promise<Machine> {
  const cpu = /^model name\s*: (.*)$/m.exec(await Deno.readTextFile("/proc/cpuinfo"))?.[1];
  const memory = Deno.systemMemoryInfo();
  const facts: Machine = {
    processors: navigator.hardwareConcurrency,
    processor: cpu ?? "unknown",
    memoryMiB: Math.round(memory.total / 2 ** 20),
    kernel: Deno.osRelease(),
    cgroups: await exists("/sys/fs/cgroup/cgroup.controllers") ? "v2" : "v1",
    deno: Deno.version.deno,
    load: Deno.loadavg().map((it) => it.toFixed(2)).join(" "),
    date: new Date().toISOString(),
  };
  for (const [name, argv] of Object.entries(programs)) {
    facts[name] = (await run(argv)).stdout.split("\n")[0]!;
  }
  return facts;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

/** Writes machine and table, with the ratios, as JSON. */
export async function writeJson(path: string, machine: Machine, table: Table): Promise<void> {
  const rows = table.rows.map((row) => ({ ...row, ratios: ratiosOf(row) }));
  await Deno.writeTextFile(path, JSON.stringify({ machine, ...table, rows }, null, 2) + "\n");
}
