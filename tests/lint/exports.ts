/**
 * Finds exports that the product does not need: `deno run -R tests/lint/exports.ts`. Exits with 1 when
 * there is one. An export is needed
 *
 * - when another module of the product imports it;
 * - when its own module uses it, too, and either a test imports it or it is a type: part of what
 *   another export says.
 *
 * So what only tests use is not in the product, and what only its own module uses is not exported.
 * The sources are read as text: `deno fmt` lays out imports and exports in one way only.
 */

const ROOT = new URL("../../", import.meta.url);

const DECLARATION =
  /^export (?:abstract |async )*(function\*?|const|let|class|interface|type|enum) (\w+)/gm;
const TYPE_KINDS = ["interface", "type"];

/** Texts by their paths, relative to the repository. */
export type Sources = ReadonlyMap<string, string>;

/** What a module exports and imports. */
interface Module {
  /** Name → whether it is only a type. */
  exports: Map<string, boolean>;
  /** Names, and the modules that they come from. */
  imports: Name[];
  /** Exports of other modules that it exports, by the names that it gives them. */
  passedOn: Map<string, Name>;
  /** Modules all of whose exports it exports. */
  stars: string[];
  /** How often it has each name, those of properties aside. */
  uses: Map<string, number>;
}

interface Name {
  module: string;
  name: string;
}

if (import.meta.main) {
  const unused = findUnusedExports(readSources(["main.ts", "lib", "ffi"]), readSources(["tests"]));
  for (const it of unused) console.error(it);
  if (unused.length > 0) Deno.exit(1);
}

/** @returns a line for each export that is not needed */
export function findUnusedExports(product: Sources, tests: Sources): string[] {
  const modules = new Map(Array.from(product, ([file, text]) => [file, readModule(file, text)]));
  const own = importedNames(modules, modules);
  const byTests = importedNames(
    modules,
    new Map(Array.from(tests, ([file, text]) => [file, readModule(file, text)])),
  );
  return Array.from(modules).flatMap(([file, { exports, uses }]) =>
    Array.from(exports).flatMap(([name, isType]) => {
      const key = `${file} ${name}`;
      if (own.has(key)) return [];
      const isUsedInside = uses.get(name)! > 1;
      if (isUsedInside && (isType || byTests.has(key))) return [];
      return [`${file}: ${name} need not be exported: ${reason(isUsedInside, byTests.has(key))}`];
    })
  );
}

function reason(isUsedInside: boolean, isTested: boolean): string {
  if (isUsedInside) return "only its own module uses it";
  return isTested ? "only tests use it" : "nothing uses it";
}

/** @returns `FILE NAME` of each export of `modules` that one of `readers` imports from another file */
function importedNames(
  modules: ReadonlyMap<string, Module>,
  readers: ReadonlyMap<string, Module>,
): Set<string> {
  const found = new Set<string>();
  for (const [reader, { imports }] of readers) {
    for (const name of imports) {
      const definition = findDefinition(modules, name);
      if (definition !== undefined && definition.module !== reader) {
        found.add(`${definition.module} ${definition.name}`);
      }
    }
  }
  return found;
}

/** Looks for what a name means through the modules that pass it on. */
function findDefinition(modules: ReadonlyMap<string, Module>, it: Name): Name | undefined {
  const module = modules.get(it.module);
  if (module === undefined) return undefined;
  if (module.exports.has(it.name)) return it;
  const passedOn = module.passedOn.get(it.name);
  if (passedOn !== undefined) return findDefinition(modules, passedOn);
  for (const star of module.stars) {
    const found = findDefinition(modules, { module: star, name: it.name });
    if (found !== undefined) return found;
  }
  return undefined;
}

function readModule(file: string, source: string): Module {
  const text = source.replaceAll(/\/\*.*?\*\//gs, "").replaceAll(/^\s*\/\/.*$/gm, "");
  const uses = new Map<string, number>();
  for (const [name] of text.matchAll(/(?<![\w)\]?]\.)\b\w+/g)) {
    uses.set(name, (uses.get(name) ?? 0) + 1);
  }

  const exports = new Map<string, boolean>();
  for (const [, kind, name] of text.matchAll(DECLARATION)) {
    // A value and a type may have one name.
    exports.set(name!, TYPE_KINDS.includes(kind!) && exports.get(name!) !== false);
  }
  const passedOn = new Map<string, Name>();
  for (
    const [, names, specifier] of text.matchAll(/^export (?:type )?\{([^}]*)\} from "([^"]+)";$/gm)
  ) {
    for (const [name, as] of split(names!)) {
      passedOn.set(as, { module: resolve(specifier!, file), name });
    }
  }
  const stars = text.matchAll(/^export \* from "(.+)";$/gm);
  return {
    exports,
    passedOn,
    stars: Array.from(stars, ([, specifier]) => resolve(specifier!, file)),
    imports: readImports(file, text),
    uses,
  };
}

function readImports(file: string, text: string): Name[] {
  const imports: Name[] = [];
  for (
    const [, names, specifier] of text.matchAll(/^import (?:type )?\{([^}]*)\} from "([^"]+)";$/gm)
  ) {
    for (const [name] of split(names!)) imports.push({ module: resolve(specifier!, file), name });
  }
  // Of a whole module any word may be a name.
  const whole = text.matchAll(/import(?:\(\s*| \* as \w+ from )"(.+?)"/g);
  for (const [, specifier] of whole) {
    for (const [name] of text.matchAll(/\w+/g)) {
      imports.push({ module: resolve(specifier!, file), name });
    }
  }
  return imports;
}

/** `a, type b as c` → each name there and here. */
function split(names: string): [name: string, as: string][] {
  return names.split(",").map((it) => it.trim().replace(/^type /, "")).filter((it) => it !== "")
    .map((it) => it.split(" as ")).map(([name, as]) => [name!, as ?? name!]);
}

/** The file that a specifier means, relative to the repository; packages stay what they are. */
function resolve(specifier: string, file: string): string {
  if (!specifier.startsWith(".")) return specifier;
  return new URL(specifier, new URL(file, "file:///")).pathname.slice(1);
}

function readSources(paths: string[]): Sources {
  const sources = new Map<string, string>();
  const readFile = (path: string) => {
    if (path.endsWith(".ts")) sources.set(path, Deno.readTextFileSync(new URL(path, ROOT)));
  };
  const readDirectory = (path: string) => {
    for (const { name, isDirectory } of Deno.readDirSync(new URL(path, ROOT))) {
      if (isDirectory) readDirectory(`${path}/${name}`);
      else readFile(`${path}/${name}`);
    }
  };
  for (const path of paths) (path.endsWith(".ts") ? readFile : readDirectory)(path);
  return sources;
}
