import * as esbuild from "esbuild";
import { resolve } from "pathe";
import { HostError } from "../errors.ts";

const CONFIG = resolve(import.meta.dirname ?? ".", "../../deno.json");

/** Values that stand in the program for the names which `lib/version.ts` declares. */
export interface BuildConstants {
  version: string;
  commit: string;
}

/**
 * Bundles a program and all it imports into one minified JavaScript module, in two passes: Deno's own
 * bundler resolves what deno.json maps, esbuild then puts the constants in and drops what they make
 * unreachable. Both come from the npm registry.
 * @param entry path of the program
 * @param constants written into the program; `URUNC_SHIPPED` is always true there
 * @returns the module's bytes (UTF-8); the same for the same sources, wherever they lie
 * @throws HostError when a pass fails; the bundler's own message has then been printed
 */
export async function bundle(
  entry: string,
  constants: BuildConstants,
): Promise<Uint8Array<ArrayBuffer>> {
  const directory = await Deno.makeTempDir({ prefix: "urunc-bundle-" });
  try {
    const joined = `${directory}/bundle.js`;
    await runDenoBundle(entry, joined);
    const result = esbuild.transformSync(await Deno.readTextFile(joined), {
      define: {
        URUNC_SHIPPED: "true",
        URUNC_VERSION: JSON.stringify(constants.version),
        URUNC_COMMIT: JSON.stringify(constants.commit),
      },
      format: "esm",
      target: "esnext",
      minify: true,
      treeShaking: true,
      legalComments: "none",
    });
    return new TextEncoder().encode(result.code);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function runDenoBundle(entry: string, output: string): Promise<void> {
  const { success, code } = await new Deno.Command(Deno.execPath(), {
    args: [
      "bundle",
      "--quiet",
      "--platform=deno",
      `--config=${CONFIG}`,
      `--output=${output}`,
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
