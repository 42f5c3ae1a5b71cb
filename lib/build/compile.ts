/**
 * Builds the executable: `deno run -A lib/build/compile.ts [--output dist/urunc] [--entry main.ts]`.
 * Needs the npm registry, and no C compiler: machine code is committed (native/).
 */
import { resolve } from "pathe";
import config from "../../deno.json" with { type: "json" };
import { formatError, UsageError } from "../errors.ts";
import { bundle } from "./bundle.ts";
import { describeCommit } from "./commit.ts";
import { writeExecutable } from "./executable.ts";

const ROOT = resolve(import.meta.dirname ?? ".", "../..");

interface CompileOptions {
  output: string;
  entry: string;
}

/**
 * @param args `--output PATH` and `--entry PATH`, each at most once
 * @throws UsageError for any other argument
 */
export function parseCompileArguments(args: readonly string[]): CompileOptions {
  const options = { output: resolve(ROOT, "dist/urunc"), entry: resolve(ROOT, "main.ts") };
  for (let i = 0; i < args.length; i += 2) {
    const name = args[i];
    const value = args[i + 1];
    if ((name !== "--output" && name !== "--entry") || value === undefined || value === "") {
      throw new UsageError({
        operation: "compile",
        subject: name,
        reason: "is not an option, or its path is missing",
        remedy: "compile.ts [--output PATH] [--entry PATH]",
      });
    }
    options[name === "--output" ? "output" : "entry"] = resolve(value);
  }
  return options;
}

async function compile(options: CompileOptions): Promise<void> {
  const constants = { version: config.version, commit: await describeCommit(ROOT) };
  const bundled = await bundle(options.entry, constants);
  const size = await writeExecutable(bundled, options.output);
  console.log(
    `${options.output}: version ${constants.version}, commit ${constants.commit}, ` +
      `program ${(bundled.program.length / 1024).toFixed(0)} KiB, file ${
        (size / 2 ** 20).toFixed(0)
      } MiB`,
  );
}

if (import.meta.main) {
  try {
    await compile(parseCompileArguments(Deno.args));
  } catch (error) {
    console.error(`compile: ${formatError(error)}`);
    Deno.exit(1);
  }
}
