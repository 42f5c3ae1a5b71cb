/**
 * Where the lines of a bundled program came from. What the bundler does to a module's text is a chain of
 * esbuild's passes, each of which takes the map of the one before along, as a comment at the end; edits
 * between two passes keep the number of lines. So the map at the end has the right lines, if not columns.
 */
import type { TraceTable } from "../os/stack.ts";

/** Where a source map stands in a text that esbuild has written. */
const COMMENT = /(?:^|\n)\/\/# sourceMappingURL=data:application\/json;base64,([\w+/=]+)\s*$/;

/** A text that esbuild has written, and its source map. */
export interface MappedCode {
  code: string;
  /** @see https://tc39.es/ecma426/, "Mappings structure" */
  mappings: string;
  names: string[];
}

/** Takes an inline map off a text that esbuild has written with it. */
export function takeSourceMap(text: string): MappedCode {
  const match = COMMENT.exec(text);
  if (match === null) throw new Error("esbuild has written no source map");
  const { mappings, names } = JSON.parse(atob(match[1]!));
  return { code: text.slice(0, match.index), mappings, names };
}

/** A place of a text that a map knows. All from 0. */
interface Segment {
  line: number;
  column: number;
  sourceLine: number;
  /** What the identifier here was called in the source, if something else. */
  name?: string;
}

function* segmentsOf({ mappings, names }: Omit<MappedCode, "code">): Iterable<Segment> {
  let sourceLine = 0;
  let nameIndex = 0;
  for (const [line, segments] of mappings.split(";").entries()) {
    let column = 0;
    for (const segment of segments.split(",")) {
      const [columns = 0, , lines, , index] = decodeSegment(segment);
      column += columns;
      if (lines === undefined) continue;
      sourceLine += lines;
      if (index !== undefined) nameIndex += index;
      yield { line, column, sourceLine, name: index === undefined ? undefined : names[nameIndex] };
    }
  }
}

/** From this place of a text on, it came from this line of its source. All from 0. */
type LineEntry = [line: number, column: number, sourceLine: number];

/**
 * Where in a text another line of its source begins.
 *
 * @param map of one source
 */
export function lineTable(map: Omit<MappedCode, "code">): LineEntry[] {
  const table: LineEntry[] = [];
  for (const { line, column, sourceLine } of segmentsOf(map)) {
    if (table.at(-1)?.[2] !== sourceLine) table.push([line, column, sourceLine]);
  }
  return table;
}

/** A function or class that the minifier has renamed, and where it is declared. */
type NameEntry = [line: number, column: number, short: string, name: string];

/** What comes before or after the name of a function or class where it is declared. */
const BEFORE = /\b(?:function\*?|class) $/;
const AFTER = /^=(?:async\b ?)?(?:\(|function\b|class\b|[\w$]+=>)/;

/** The functions and classes of a text that have other names in its source, in its order. */
function nameTable(mapped: MappedCode): NameEntry[] {
  const lines = mapped.code.split("\n");
  const table: NameEntry[] = [];
  for (const { line, column, name } of segmentsOf(mapped)) {
    const text = lines[line] ?? "";
    const [short] = /^#?[\w$]+/.exec(text.slice(column, column + 40)) ?? [];
    if (name === undefined || short === undefined) continue;
    const behind = text.slice(column + short.length, column + short.length + 40);
    const isDeclared = BEFORE.test(text.slice(Math.max(0, column - 12), column)) ||
      AFTER.test(behind);
    // Of a private name every use is as good: it means the same in the whole class.
    const isPrivate = short.startsWith("#") &&
      table.findLast((it) => it[2] === short)?.[3] !== name;
    if (isDeclared || isPrivate) table.push([line, column, short, name]);
  }
  return table;
}

/**
 * What lib/os/stack.ts needs to know of a module.
 *
 * @param characters that stand before the text, in its first line
 */
export function traceTable(mapped: MappedCode, characters: number): TraceTable {
  return {
    lines: encodeLines(lineTable(mapped), characters),
    names: nameTable(mapped).map(([line, column, short, name]) => [
      line,
      line === 0 ? column + characters : column,
      short,
      name,
    ]),
  };
}

/** Numbers in a row, each as the difference to the entry before. */
function encodeLines(table: LineEntry[], characters: number): number[] {
  let last: LineEntry = [0, 0, 0];
  return table.flatMap(([line, column, sourceLine]) => {
    const entry: LineEntry = [line, line === 0 ? column + characters : column, sourceLine];
    const differences = entry.map((value, index) => value - last[index]!);
    last = entry;
    return differences;
  });
}

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Base64 VLQ: five bits a digit, the least first, the sixth says that more follow; the sign is last. */
function decodeSegment(segment: string): number[] {
  const values: number[] = [];
  let value = 0;
  let shift = 0;
  for (const character of segment) {
    const digit = DIGITS.indexOf(character);
    value += (digit & 31) << shift;
    shift += 5;
    if ((digit & 32) !== 0) continue;
    values.push((value & 1) === 0 ? value >> 1 : -(value >> 1));
    value = shift = 0;
  }
  return values;
}
