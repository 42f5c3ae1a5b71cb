import * as esbuild from "esbuild";
import { resolve } from "pathe";
import { HostError } from "../errors.ts";
import { finishEarly, markEarly, recorder, recordLoad } from "./early.ts";
import { EARLY_FUNCTIONS } from "./early_functions.ts";
import { prepareFilters } from "./filters.ts";
import { mappedProgram, runProgram } from "./loader.ts";
import { type MappedCode, takeSourceMap, traceTable } from "./source_map.ts";
import { Modules, resolveSpecifier, type SourceModule } from "./modules.ts";

/** What every module's text begins with. */
const MODULE_HEAD = `(function(module,require,namespace,load,meta){"use strict";`;

/** Of the repository, with a slash at its end. */
const ROOT = resolve(import.meta.dirname ?? ".", "../..") + "/";

/** Values of the names that `lib/version.ts` declares. */
export interface BuildConstants {
  version: string;
  commit: string;
}

/** One module of a bundled program. */
export interface BundledModule {
  /** For stack traces: the name of the source file. */
  name: string;
  /** The body of a `ModuleBody`, minified. */
  code: string;
  /** With its source map. */
  mapped: MappedCode;
}

/** A program, ready to be linked. */
export interface Bundle {
  /** The one module (UTF-8) that Deno loads; it runs the program at `PROGRAM_ADDRESS`, which the stub declares. */
  loader: Uint8Array<ArrayBuffer>;
  /** All of the program's own modules, as `runProgram` takes them. */
  program: Uint8Array<ArrayBuffer>;
  /** For stack traces: a `TraceTable` (lib/os/stack.ts) of each module, by its name, as JSON. */
  traces: Uint8Array<ArrayBuffer>;
}

/**
 * Bundles a program and all it imports. Each module is evaluated when one of its exports is first used,
 * as with `import defer`; until then Deno does not see it:
 *
 * - Deno parses a module completely to find its imports, and V8 parses it again. For the whole program
 *   that takes 15 ms; the rest of a start takes 9. Even as strings in one module they would cost 3 ms;
 * - a command uses only a part of what its files import.
 *
 * So modules must have no side effects when they are evaluated, and no `await` outside of functions.
 *
 * @param entry path of the program
 * @param constants written into the program; `URUNC_SHIPPED` is always true there
 * @param record a directory, where the program then writes down what it loads and calls: see early.ts
 * @returns the same bytes for the same sources, whatever their directory
 * @throws HostError when a module cannot be bundled; a compiler's own message has then been printed
 */
export async function bundle(
  entry: string,
  constants: BuildConstants,
  record?: string,
): Promise<Bundle> {
  const modules = await bundleModules(entry, constants, record !== undefined);
  const encoder = new TextEncoder();
  const texts = modules.map(({ name, code }) =>
    encoder.encode(
      `${MODULE_HEAD}${
        record === undefined ? "" : recordLoad(name)
      }${code}})\n//# sourceURL=urunc/${name}`,
    )
  );
  const traces = Object.fromEntries(
    modules.map(({ name, mapped }) => [name, traceTable(mapped, MODULE_HEAD.length)]),
  );
  const { code } = await esbuild.transform(
    `${record === undefined ? "" : recorder(record)}
    ${mappedProgram}\n${runProgram}\nrunProgram(mappedProgram(PROGRAM_ADDRESS), import.meta);`,
    { target: "esnext", format: "esm", minify: true },
  );
  return {
    loader: encoder.encode(code),
    program: layOutProgram(texts),
    traces: encoder.encode(JSON.stringify(traces)),
  };
}

function layOutProgram(texts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const tableSize = 4 * (1 + texts.length);
  const size = texts.reduce((sum, text) => sum + text.length, tableSize);
  const program = new Uint8Array(size);
  const table = new DataView(program.buffer);
  let end = tableSize;
  texts.forEach((text, index) => {
    table.setUint32(4 * index, end, true);
    program.set(text, end);
    end += text.length;
  });
  table.setUint32(4 * texts.length, end, true);
  return program;
}

/** The modules that `bundle` writes, the entry first; parameters and errors are the same. */
export async function bundleModules(
  entry: string,
  constants: BuildConstants,
  record = false,
): Promise<BundledModule[]> {
  const modules = new Modules({
    URUNC_SHIPPED: "true",
    URUNC_FILTERS: JSON.stringify(prepareFilters()),
    URUNC_VERSION: JSON.stringify(constants.version),
    URUNC_COMMIT: JSON.stringify(constants.commit),
    "import.meta": "meta",
  });
  const files = [resolve(entry)];
  const numberOf = (file: string) => {
    const index = files.indexOf(file);
    return index >= 0 ? index : files.push(file) - 1;
  };
  const linked: LinkedModule[] = [];
  for (let file = files[0]; file !== undefined; file = files[linked.length]) {
    linked.push(await linkImports(await modules.module(file), modules, numberOf));
  }
  return linked.map(({ file, code }) => ({
    name: sourceName(file),
    ...compile(writePreloads(code, linked), file, record),
  }));
}

/** The path in the repository, which is the same wherever that is; of another file its name alone. */
function sourceName(file: string): string {
  return file.startsWith(ROOT) ? file.slice(ROOT.length) : file.slice(file.lastIndexOf("/") + 1);
}

/** A module whose specifiers are numbers. */
interface LinkedModule {
  file: string;
  code: string;
  /** The modules that it imports, without those of `import()`. */
  imports: number[];
}

/** Replaces `preload(NUMBER)` by loading the module and its imports, see lib/os/preload.ts. */
function writePreloads(code: string, modules: LinkedModule[]): string {
  return code.replaceAll(/\bpreload\((\d+)\)/g, (_, number) => {
    const wanted = [Number(number), ...modules[Number(number)]!.imports];
    return `[${wanted}].forEach((it) => require(it))`;
  });
}

/** Replaces specifiers by the numbers of the modules that define what is imported. */
async function linkImports(
  module: SourceModule,
  modules: Modules,
  numberOf: (file: string) => number,
): Promise<LinkedModule> {
  const { file } = module;
  const imports = new Set<number>();
  const importOf = (from: string) => {
    const number = numberOf(from);
    imports.add(number);
    return number;
  };
  const named = /^import \{([^}]*)\} from "([^"]+)";$/gm;
  const clauses = await Promise.all(
    [...module.code.matchAll(named)].map(async ([, names, specifier]) => {
      const from = resolveSpecifier(specifier!, file);
      return await Promise.all(
        names!.split(",").map(async (name) => {
          const clause = name.trim();
          return { clause, from: await modules.definition(from, clause.split(" ")[0]!) };
        }),
      );
    }),
  );
  const code = module.code
    .replaceAll(named, (match) =>
      clauses.shift()!
        .map((it) => `import { ${it.clause} } from "${importOf(it.from)}";`).join(" ") +
      match.replaceAll(/[^\n]/g, ""))
    .replaceAll(
      /^import \* as (\w+) from "([^"]+)";$/gm,
      (_, name, specifier) =>
        `const ${name} = namespace(${importOf(resolveSpecifier(specifier, file))});`,
    )
    .replaceAll(
      /\bpreload\("([^"]+)"\)/g,
      (_, specifier) => `preload(${numberOf(resolveSpecifier(specifier, file))})`,
    )
    .replaceAll(
      /\bimport\("([^"]+)"\)/g,
      (_, specifier) => `load(${numberOf(resolveSpecifier(specifier, file))})`,
    )
    .replace(/^export \{([^}]*)\};\n*$/m, (_, names: string) => {
      const properties = names.split(",").map((name) => name.trim().split(" as "))
        .map(([local, exported = local]) => `${JSON.stringify(exported)}: ${local}`);
      return `module.exports = { ${properties.join(", ")} };\n`;
    });
  return { file, code, imports: [...imports] };
}

/** @param code with specifiers that are numbers, and its source map */
function compile(code: string, file: string, record: boolean): Omit<BundledModule, "name"> {
  const required = transform(code, { format: "cjs" });
  const names = new Map<string, string>();
  const body = required.replaceAll(
    /^var (import_\w+) = require\("(\d+)"\);$/gm,
    (_, name, number) => {
      names.set(name, number);
      return "";
    },
  ).replaceAll(
    // Load a module where it is used, not where it is imported.
    /(\bnew )?\b(import_\w+)\.(\w+)/g,
    (use, constructing, name, property) => {
      const number = names.get(name);
      if (number === undefined) return use;
      const value = `require(${number}).${property}`;
      return constructing === undefined ? value : `new (${value})`;
    },
  );
  if (/\bimport\b|\b__\w+\(|\brequire\("/.test(takeSourceMap(body).code)) {
    throw new HostError({
      operation: "bundle",
      subject: file,
      reason: "it has a form of import or export that the bundler does not support",
    });
  }
  const marked = markCalled(body, sourceName(file), record);
  const mapped = takeSourceMap(transform(marked, { minify: true, format: "cjs" }));
  const finished = { ...mapped, code: finishEarly(mapped.code) };
  return { code: finished.code.trimEnd(), mapped: finished };
}

function markCalled(code: string, module: string, record: boolean): string {
  if (record) return markEarly(code, () => true, module);
  const called = new Set(EARLY_FUNCTIONS[module]?.split(" "));
  return markEarly(code, (name) => called.has(name));
}

/** @returns with a source map, into which esbuild works the one of the input */
function transform(code: string, options: esbuild.TransformOptions): string {
  return esbuild.transformSync(code, {
    target: "esnext",
    logLevel: "error",
    sourcemap: "inline",
    sourcesContent: false,
    ...options,
  }).code;
}
