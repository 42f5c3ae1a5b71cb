/**
 * `deno task native`: compiles every committed program again (programs.ts) and writes its bytes.
 * `--check` compares instead, and fails where they differ or a compiler is missing.
 * `--packages` prints the Debian packages of the compilers.
 */
import { resolve } from "pathe";
import { errorMessage, formatError, HostError, UsageError } from "../../errors.ts";
import { type Compiler, NATIVE_PROGRAMS, type NativeProgram } from "./programs.ts";

const ROOT = resolve(import.meta.dirname ?? ".", "../../..");

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * Compiles a program.
 *
 * @param root the repository's directory
 * @returns its machine code
 * @throws HostError when the compiler is missing or fails
 */
export async function compileNative(program: NativeProgram, root: string): Promise<Bytes> {
  const directory = await Deno.makeTempDir({ prefix: "urunc-native-" });
  const output = `${directory}/output`;
  const { compiler, flags, sources } = program;
  try {
    await run(compiler.program, [...flags, ...sources, "-o", output], {
      operation: `compile ${program.name}`,
      cwd: `${root}/${program.directory}`,
      compiler,
    });
    return await Deno.readFile(output);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/**
 * Reads what is committed of a program.
 *
 * @param root the repository's directory
 * @returns its machine code; nothing of a program that was never written
 */
export async function readCommitted({ output }: NativeProgram, root: string): Promise<Bytes> {
  try {
    if ("file" in output) return await Deno.readFile(`${root}/${output.file}`);
    const text = await Deno.readTextFile(`${root}/${output.module}`);
    return Uint8Array.fromBase64(/fromBase64\(`([^`]*)`\)/.exec(text)?.[1] ?? "");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return new Uint8Array();
    throw error;
  }
}

/**
 * Says how a program differs from what is committed.
 *
 * @returns undefined when it does not
 */
export function describeDifference(built: Uint8Array, committed: Uint8Array): string | undefined {
  const at = built.findIndex((byte, index) => byte !== committed[index]);
  if (at < 0 && built.length === committed.length) return undefined;
  const sizes = `${built.length} bytes, committed ${committed.length}`;
  return `${sizes}; they differ from byte ${at < 0 ? built.length : at} on`;
}

async function writeCommitted(program: NativeProgram, bytes: Bytes): Promise<void> {
  const { output } = program;
  if ("file" in output) {
    return await Deno.writeFile(`${ROOT}/${output.file}`, bytes, { mode: 0o755 });
  }
  await Deno.writeTextFile(`${ROOT}/${output.module}`, formatModule(program, bytes));
}

function formatModule({ name, directory, output }: NativeProgram, bytes: Bytes): string {
  const constant = "constant" in output ? output.constant : "";
  return [
    `/** Machine code of the ${name}, ${directory}; written by \`deno task native\`. */`,
    `export const ${constant}: Uint8Array<ArrayBuffer> = Uint8Array.fromBase64(\``,
    ...bytes.toBase64().match(/.{1,92}/g) ?? [],
    "`);",
    "",
  ].join("\n");
}

/** `gcc-14 14.2.0-19, binutils 2.44-3` */
async function describeVersions(compiler: Compiler): Promise<string> {
  const format = "${Package} ${Version}\n";
  const text = await run("dpkg-query", ["-W", "-f", format, ...compiler.packages], {
    operation: "find the compiler",
    compiler,
  });
  return text.trim().split("\n").join(", ");
}

interface RunOptions {
  operation: string;
  compiler: Compiler;
  cwd?: string;
}

/** Returns what it prints. */
async function run(program: string, args: string[], options: RunOptions): Promise<string> {
  const { operation, compiler, cwd } = options;
  const remedy = `apt-get install ${compiler.packages.join(" ")}`;
  const env = { ...compiler.env, LC_ALL: "C" };
  let result: Deno.CommandOutput;
  try {
    // What it complains about is for the person at the terminal, as it is.
    result = await new Deno.Command(program, { args, cwd, env, stderr: "inherit" }).output();
  } catch (cause) {
    const reason = `it cannot be started: ${errorMessage(cause)}`;
    throw new HostError({ operation, subject: program, reason, remedy, cause });
  }
  if (!result.success) {
    throw new HostError({
      operation,
      subject: program,
      reason: `exit code ${result.code}`,
      remedy,
    });
  }
  return new TextDecoder().decode(result.stdout);
}

/** Returns whether the committed bytes are those that the program compiles to. */
async function check(program: NativeProgram): Promise<boolean> {
  const built = await compileNative(program, ROOT);
  const difference = describeDifference(built, await readCommitted(program, ROOT));
  const versions = await describeVersions(program.compiler);
  console.log(`${program.name}: ${difference ?? `${built.length} bytes, the same`} (${versions})`);
  return difference === undefined;
}

async function write(program: NativeProgram): Promise<void> {
  const built = await compileNative(program, ROOT);
  const isNew = describeDifference(built, await readCommitted(program, ROOT)) !== undefined;
  await writeCommitted(program, built);
  const versions = await describeVersions(program.compiler);
  const change = isNew ? "changed" : "the same";
  console.log(`${program.name}: ${built.length} bytes, ${change} (${versions})`);
}

async function checkAll(): Promise<void> {
  const same: boolean[] = [];
  for (const program of NATIVE_PROGRAMS) same.push(await check(program));
  if (same.includes(false)) {
    throw new HostError({
      operation: "compare committed machine code",
      reason: "it is not what its source compiles to",
      remedy: "deno task native, and commit what it writes",
    });
  }
}

async function main(args: readonly string[]): Promise<void> {
  const [action, ...rest] = args;
  if (rest.length > 0) throw usage(rest[0]!);
  if (action === "--check") return await checkAll();
  if (action === "--packages") {
    const names = NATIVE_PROGRAMS.flatMap(({ compiler }) => compiler.packages);
    return console.log([...new Set(names)].join("\n"));
  }
  if (action !== undefined) throw usage(action);
  for (const program of NATIVE_PROGRAMS) await write(program);
}

function usage(subject: string): UsageError {
  return new UsageError({
    operation: "native",
    subject,
    reason: "unexpected argument",
    remedy: "deno task native [--check | --packages]",
  });
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    console.error(`native: ${formatError(error)}`);
    Deno.exit(1);
  }
}
