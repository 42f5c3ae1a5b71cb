/** Which lines of the program the unit tests execute; what they never load counts, too. */
import { stripTypeScriptTypes } from "node:module";
import { run } from "./process.ts";

/** What is measured. */
const SOURCES = ["main.ts", "lib", "ffi"];

/** Of a file, or of several. */
export interface LineCount {
  lines: number;
  executed: number;
}

/**
 * The lines of every file that was loaded, by its path.
 *
 * @param lcov what `deno coverage --lcov` prints: geninfo(1), FILES
 */
export function parseLcov(lcov: string): Map<string, LineCount> {
  const counts = new Map<string, LineCount>();
  for (const record of lcov.split("end_of_record")) {
    const field = (name: string) => new RegExp(`^${name}:(.*)$`, "m").exec(record)?.[1];
    const file = field("SF");
    if (file === undefined) continue;
    counts.set(file, { lines: Number(field("LF")), executed: Number(field("LH")) });
  }
  return counts;
}

/**
 * The lines of a file that could be executed, as Deno counts them: without blank ones, comments and
 * types.
 */
export function countLines(typescript: string): number {
  const javascript = stripTypeScriptTypes(typescript).replace(/\/\*[\s\S]*?\*\//g, "");
  return javascript.split("\n").filter((it) => !/^\s*(\/\/|;?\s*$)/.test(it)).length;
}

/**
 * What was executed of each room: a directory of `lib`, or what is beside it.
 *
 * @param root the repository, with a slash at its end
 * @param loaded as of {@linkcode parseLcov}
 */
export function countByRoom(root: string, loaded: Map<string, LineCount>): Map<string, LineCount> {
  const rooms = new Map<string, LineCount>();
  for (const file of SOURCES.flatMap((it) => filesBelow(root, it)).sort()) {
    const count = loaded.get(`${root}${file}`) ??
      { lines: countLines(Deno.readTextFileSync(`${root}${file}`)), executed: 0 };
    const name = /^lib\/[^/]+(?=\/)|^[^/]+/.exec(file)![0];
    const room = rooms.get(name) ?? { lines: 0, executed: 0 };
    rooms.set(name, {
      lines: room.lines + count.lines,
      executed: room.executed + count.executed,
    });
  }
  return rooms;
}

/** A table of the rooms; the last line is all of them. */
export function formatCoverage(rooms: Map<string, LineCount>): string[] {
  const all = [...rooms.values()].reduce((sum, it) => ({
    lines: sum.lines + it.lines,
    executed: sum.executed + it.executed,
  }), { lines: 0, executed: 0 });
  const width = Math.max(...[...rooms.keys()].map((it) => it.length));
  const rows = [...rooms].map(([name, it]) =>
    `${name.padEnd(width)} ${percent(it).padStart(7)} of ${it.lines} lines`
  );
  return [...rows, `coverage by unit tests: ${percent(all)} of ${all.lines} lines`];
}

/**
 * The table of a run that wrote its profiles to a directory.
 *
 * @param root the repository, with a slash at its end
 */
export async function describeCoverage(root: string, profiles: string): Promise<string[]> {
  const { stdout } = await run([Deno.execPath(), "coverage", "--lcov", profiles], {
    cwd: root,
    timeoutSeconds: 300,
    check: true,
  });
  return formatCoverage(countByRoom(root, parseLcov(stdout)));
}

function percent({ lines, executed }: LineCount): string {
  return `${(lines === 0 ? 100 : 100 * executed / lines).toFixed(1)} %`;
}

function filesBelow(root: string, path: string): string[] {
  if (Deno.statSync(`${root}${path}`).isFile) return [path];
  return [...Deno.readDirSync(`${root}${path}`)].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return filesBelow(root, `${path}/${name}`);
    return name.endsWith(".ts") ? [`${path}/${name}`] : [];
  });
}
