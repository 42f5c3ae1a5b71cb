import * as esbuild from "esbuild";
import { resolve } from "pathe";
import { HostError } from "../errors.ts";
import { runChunks } from "./chunks.ts";

const CONFIG = resolve(import.meta.dirname ?? ".", "../../deno.json");

/** Values that stand in the program for the names which `lib/version.ts` declares. */
export interface BuildConstants {
  version: string;
  commit: string;
}

/** One part of a bundled program. */
interface Part {
  /** For stack traces: after the source file it came from, where it came from one. */
  name: string;
  /** Minified CommonJS; it requires other parts by their numbers, and nothing else. */
  code: string;
}

/**
 * Bundles a program and all it imports into one JavaScript module.
 *
 * The module holds the program as strings, one for what every run needs and one for whatever is
 * imported dynamically, and evaluates them on use. For Deno parses a module twice, in full, before it
 * runs: once itself, to find imports, once in V8. That would take longer than all of the rest of a
 * start: 15 ms for 150 KiB. A string is only copied.
 *
 * @param entry path of the program; it may import dynamically, but have no `await` outside of functions
 * @param constants written into the program; `URUNC_SHIPPED` is always true there
 * @returns the module's bytes (UTF-8); the same for the same sources, wherever they lie
 * @throws HostError when the bundler fails; its own message has then been printed
 */
export async function bundle(
  entry: string,
  constants: BuildConstants,
): Promise<Uint8Array<ArrayBuffer>> {
  const parts = await bundleParts(entry, constants);
  const sources = parts.map(({ name, code }) =>
    `(function(module,require,meta){"use strict";var exports=module.exports;${code}\n})\n` +
    `//# sourceURL=urunc/${name}.js`
  );
  const text = `${runChunks}\nrunChunks(${JSON.stringify(sources)},import.meta);\n`;
  return new TextEncoder().encode(text);
}

/**
 * The parts of which `bundle` makes a module, the entry first. Deno's own bundler resolves what
 * deno.json maps and splits the program, esbuild then puts the constants in and drops what they make
 * unreachable. Both come from the npm registry.
 *
 * @param entry as `bundle` has it
 * @param constants as `bundle` has it
 * @throws HostError as `bundle`
 */
export async function bundleParts(entry: string, constants: BuildConstants): Promise<Part[]> {
  const directory = await Deno.makeTempDir({ prefix: "urunc-bundle-" });
  try {
    await runDenoBundle(entry, directory);
    const stem = entry.slice(entry.lastIndexOf("/") + 1).replace(/\.[^.]*$/, "");
    return numberParts(
      `${stem}.js`,
      (file) => transform(Deno.readTextFileSync(`${directory}/${file}`), constants),
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Numbers files in the order in which the entry reaches them: their names hold hashes of paths. */
function numberParts(entry: string, read: (file: string) => string): Part[] {
  const files = [entry];
  const parts: Part[] = [];
  for (let file = files[0]; file !== undefined; file = files[parts.length]) {
    const code = read(file).replaceAll(/\brequire\("\.\/([^"]+)"\)/g, (_, required: string) => {
      if (!files.includes(required)) files.push(required);
      return `require(${files.indexOf(required)})`;
    });
    const name = file.replace(/(-[0-9A-Z]{8})?\.js$/, "");
    parts.push({ name: name === "chunk" ? `shared${parts.length}` : name, code });
  }
  return parts;
}

function transform(module: string, constants: BuildConstants): string {
  return esbuild.transformSync(module, {
    define: {
      URUNC_SHIPPED: "true",
      URUNC_VERSION: JSON.stringify(constants.version),
      URUNC_COMMIT: JSON.stringify(constants.commit),
      "import.meta": "meta",
    },
    format: "cjs",
    // Makes it a `require` that is evaluated when it is reached.
    supported: { "dynamic-import": false },
    target: "esnext",
    minify: true,
    treeShaking: true,
    legalComments: "none",
  }).code;
}

async function runDenoBundle(entry: string, directory: string): Promise<void> {
  const { success, code } = await new Deno.Command(Deno.execPath(), {
    args: [
      "bundle",
      "--quiet",
      "--platform=deno",
      "--code-splitting",
      `--config=${CONFIG}`,
      `--outdir=${directory}`,
      entry,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  }).output();
  if (!success) {
    throw new HostError({
      operation: "bundle",
      subject: entry,
      reason: `deno bundle ended with status ${code}`,
    });
  }
}
