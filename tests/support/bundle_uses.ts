import * as esbuild from "esbuild";

/** What a bundle takes from outside itself. */
export interface BundleUses {
  /** Specifiers that it imports. */
  imports: string[];
  /** It reads the global `process`: as costly as importing a `node:` module. */
  process: boolean;
}

/** Stands in for what is looked for; the name occurs nowhere else. */
const MARK = "urunc_forbidden_global";

/**
 * Says what a bundle imports and whether it touches Node's globals. It looks at the parsed program: the
 * word `process` is also a field of the OCI specification.
 * @param bundle one JavaScript module (UTF-8)
 */
export function inspectBundle(bundle: Uint8Array): BundleUses {
  const result = esbuild.buildSync({
    stdin: { contents: bundle, loader: "js", resolveDir: "/" },
    bundle: true,
    format: "esm",
    platform: "neutral",
    target: "esnext",
    external: ["*"],
    define: { "process": MARK, "globalThis.process": MARK },
    write: false,
    metafile: true,
    logLevel: "silent",
  });
  const imports = Object.values(result.metafile.outputs)
    .flatMap((output) => output.imports.map((it) => it.path));
  return {
    imports: [...new Set(imports)],
    process: result.outputFiles.some((file) => file.text.includes(MARK)),
  };
}
