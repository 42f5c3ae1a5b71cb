/**
 * Finds circles of imports, of types as well: `deno run -A tests/lint/circles.ts [ENTRY…]`. Exits with 1
 * when there is one.
 */
import { run } from "../support/process.ts";
import { repositoryDirectory } from "../support/urunc.ts";

/** What imports all of lib and ffi that is used. */
const ENTRIES = ["main.ts", "lib/build/compile.ts"];

/** Which modules a module imports. */
export type ImportGraph = Map<string, string[]>;

/** As much as is read of what `deno info --json` prints. */
interface ModuleInfo {
  modules: {
    specifier: string;
    dependencies?: { code?: { specifier?: string }; type?: { specifier?: string } }[];
  }[];
}

if (import.meta.main) {
  const entries = Deno.args.length > 0 ? Deno.args : ENTRIES;
  const circles = findCircles(await importGraph(entries));
  for (const circle of circles) console.error(`imports in a circle: ${circle.join(" → ")}`);
  if (circles.length > 0) Deno.exit(1);
}

/**
 * Reads which modules import which, below the repository.
 *
 * @param entries files, relative to the repository
 */
export async function importGraph(entries: string[]): Promise<ImportGraph> {
  const graph: ImportGraph = new Map();
  const root = new URL(repositoryDirectory(), "file:///").href;
  for (const entry of entries) {
    const command = [Deno.execPath(), "info", "--json", entry];
    const { stdout } = await run(command, { cwd: repositoryDirectory(), check: true });
    for (const { specifier, dependencies = [] } of (JSON.parse(stdout) as ModuleInfo).modules) {
      const imports = dependencies.flatMap(({ code, type }) =>
        code?.specifier ?? type?.specifier ?? []
      )
        .filter((it) => it.startsWith(root));
      graph.set(specifier.replace(root, ""), imports.map((it) => it.replace(root, "")));
    }
  }
  return graph;
}

/**
 * Finds circles: for each module that imports itself by way of others, the shortest way, once for all
 * modules on it.
 */
export function findCircles(graph: ImportGraph): string[][] {
  const circles: string[][] = [];
  for (const module of graph.keys()) {
    if (circles.some((it) => it.includes(module))) continue;
    const circle = wayBack(graph, module);
    if (circle !== undefined) circles.push(circle);
  }
  return circles;
}

/** Breadth first, so that the first way found is the shortest. */
function wayBack(graph: ImportGraph, start: string): string[] | undefined {
  const ways = [[start]];
  const seen = new Set<string>();
  for (const way of ways) {
    for (const next of graph.get(way.at(-1)!) ?? []) {
      if (next === start) return [...way, start];
      if (!seen.has(next)) ways.push([...way, next]);
      seen.add(next);
    }
  }
  return undefined;
}
