import { isLinked } from "./self.ts";

/** As V8 writes a place in a module, which the bundler names (`lib/build/bundle.ts`). */
const PLACE = /\burunc\/([\w./@-]+)(?:, <anonymous>)?:(\d+):(\d+)/g;

/** Calls within the loader, which are below all others and say nothing. */
const LOADER = /\n {4}at [^\n]*\(file:\/\/\/proc\/self\/fd\/[^\n]*/g;

/** What a stack trace shows of a call: `async`, `new`, a class, a function; then the place. */
const CALL =
  /^( {4}at (?:async )?(?:new )?)(?:([\w$]+)(\.))?(#?[\w$]+)(?= .*?\burunc\/([\w./@-]+)(?:, <anonymous>)?:(\d+):(\d+))/gm;

/** What there is to know of a module of the bundled program. */
export interface TraceTable {
  /**
   * Where other lines of its source begin: line, column, line of the source, and so on, each as the
   * difference to the one before. All from 0.
   */
  lines: number[];
  /** Functions and classes that were renamed, where they are declared. */
  names: [line: number, column: number, short: string, name: string][];
}

/**
 * Names functions, files and lines of the sources in a stack trace. The executable's own are those of the
 * bundled program, in which a module is a line or two and names are short; what they were stands at the
 * end of the file, and is read only here.
 *
 * @returns the same in every other form of the program, and where the file cannot be read
 */
export function readableStack(stack: string): string {
  if (!isLinked()) return stack;
  try {
    return translateStack(stack, readTables());
  } catch {
    return stack;
  }
}

/** @param tables by a module's name */
export function translateStack(stack: string, tables: Record<string, TraceTable>): string {
  const tableOf = (module: string) => Object.hasOwn(tables, module) ? tables[module] : undefined;
  return stack.replaceAll(LOADER, "")
    .replaceAll(CALL, (_, head, type, dot, name, module, line, column) => {
      const named = (short: string | undefined) =>
        short && (nameAt(tableOf(module), short, Number(line) - 1, Number(column) - 1) ?? short);
      if (type === undefined) return `${head}${named(name)}`;
      // Of methods only private ones are renamed.
      return `${head}${named(type)}${dot}${name.startsWith("#") ? named(name) : name}`;
    })
    .replaceAll(PLACE, (place, module, line, column) => {
      const { lines } = tableOf(module) ?? {};
      const found = lines && sourceLine(lines, Number(line) - 1, Number(column) - 1);
      return found === undefined ? place : `${module}:${found + 1}`;
    });
}

/** The last one of that short name that is declared before: a call is in the function that it is of. */
function nameAt(
  table: TraceTable | undefined,
  short: string,
  line: number,
  column: number,
): string | undefined {
  return table?.names.findLast((it) =>
    it[2] === short && (it[0] < line || (it[0] === line && it[1] <= column))
  )?.[3];
}

/** All from 0. */
function sourceLine(table: number[], line: number, column: number): number | undefined {
  const entry = [0, 0, 0];
  let found: number | undefined;
  for (let index = 0; index < table.length; index++) {
    entry[index % 3]! += table[index]!;
    if (index % 3 !== 2) continue;
    if (entry[0]! > line || (entry[0] === line && entry[1]! > column)) break;
    found = entry[2];
  }
  return found;
}

/** From where the linker put it (`lib/build/link.ts`). */
function readTables(): Record<string, TraceTable> {
  using file = Deno.openSync("/proc/self/exe");
  const readBack = (distance: number, length: number): Uint8Array => {
    file.seekSync(-distance, Deno.SeekMode.End);
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length;) {
      done += file.readSync(bytes.subarray(done)) ?? length;
    }
    return bytes;
  };
  const length = new DataView(readBack(4, 4).buffer).getUint32(0, true);
  return JSON.parse(new TextDecoder().decode(readBack(4 + length, length)));
}
