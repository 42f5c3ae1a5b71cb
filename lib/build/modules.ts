import * as esbuild from "esbuild";
import { resolve } from "pathe";
import { errorMessage, HostError } from "../errors.ts";

const CONFIG = resolve(import.meta.dirname ?? ".", "../../deno.json");

/**
 * A source file as esbuild writes it: imports at its beginning, one `export { … }` at its end, then a
 * source map. Edits keep the number of lines, or the map would be wrong.
 */
export interface SourceModule {
  /** Absolute path, or the name of a package. */
  file: string;
  code: string;
  /** What it exports itself. */
  exports: ReadonlySet<string>;
  /** Files that it re-exports, `export * from`. */
  stars: string[];
}

/** The modules of one program, read when they are needed. */
export class Modules {
  readonly #modules = new Map<string, Promise<SourceModule>>();
  readonly #define: Record<string, string>;

  /** @param define expressions that replace names */
  constructor(define: Record<string, string>) {
    this.#define = define;
  }

  /** @throws HostError when it cannot be read or compiled */
  module(file: string): Promise<SourceModule> {
    let module = this.#modules.get(file);
    if (module === undefined) this.#modules.set(file, module = this.#read(file));
    return module;
  }

  /**
   * Finds the module that defines an export, which the given one may only re-export.
   *
   * @throws HostError when the export does not exist
   */
  async definition(file: string, name: string): Promise<string> {
    const found = await this.#find(file, name);
    if (found !== undefined) return found;
    throw failure(file, `it has no export ${name}`);
  }

  async #find(file: string, name: string): Promise<string | undefined> {
    const { exports, stars } = await this.module(file);
    if (exports.has(name)) return file;
    for (const star of stars) {
      const found = await this.#find(star, name);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async #read(file: string): Promise<SourceModule> {
    const isPackage = !file.startsWith("/");
    const contents = isPackage ? await bundlePackage(file) : await readSource(file);
    const result = esbuild.buildSync({
      stdin: { contents, loader: isPackage ? "js" : "ts", sourcefile: file, resolveDir: "/" },
      bundle: true,
      external: ["*"],
      format: "esm",
      platform: "neutral",
      target: "esnext",
      define: this.#define,
      minifySyntax: true,
      minifyWhitespace: false,
      treeShaking: true,
      legalComments: "none",
      metafile: true,
      sourcemap: "inline",
      sourcesContent: false,
      write: false,
      logLevel: "error",
    });
    const [output] = Object.values(result.metafile.outputs);
    const stars: string[] = [];
    const code = result.outputFiles[0]!.text
      // An import for side effects: modules must not have any.
      .replaceAll(/^import "[^"]+"(?: with \{.*\})?;$/gm, "")
      .replaceAll(/^export \* from "([^"]+)";$/gm, (_, specifier: string) => {
        stars.push(resolveSpecifier(specifier, file));
        return "";
      });
    return { file, code, exports: new Set(output!.exports), stars };
  }
}

/** Which file, or package, a specifier in a file means. */
export function resolveSpecifier(specifier: string, file: string): string {
  return specifier.startsWith(".") ? resolve(file, "..", specifier) : specifier;
}

async function readSource(file: string): Promise<string> {
  try {
    return await Deno.readTextFile(file);
  } catch (error) {
    throw failure(file, errorMessage(error), error);
  }
}

/** Deno's own bundler knows which package deno.json means by a name, and where it is. */
async function bundlePackage(name: string): Promise<string> {
  const directory = await Deno.makeTempDir({ prefix: "urunc-bundle-" });
  try {
    const entry = `${directory}/entry.ts`;
    await Deno.writeTextFile(entry, `export * from ${JSON.stringify(name)};\n`);
    const { success, code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["bundle", "--quiet", "--platform=deno", `--config=${CONFIG}`, entry],
      stdin: "null",
      stderr: "inherit",
    }).output();
    if (!success) throw failure(name, `deno bundle exited with code ${code}`);
    return new TextDecoder().decode(stdout);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function failure(subject: string, reason: string, cause?: unknown): HostError {
  return new HostError({ operation: "bundle", subject, reason, cause });
}
