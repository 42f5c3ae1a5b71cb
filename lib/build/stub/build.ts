/**
 * Builds the entry stub with gcc, for whoever changes stub.c; making the executable needs no compiler.
 * `deno run -A lib/build/stub/build.ts` writes bytes.ts anew.
 */
import { join } from "pathe";
import { HostError } from "../../errors.ts";

const DIRECTORY = import.meta.dirname ?? ".";

const COMPILE_FLAGS = [
  "-std=c17",
  "-Os",
  "-Wall",
  "-Wextra",
  "-ffreestanding",
  // Runs at any address, without relocation; no instruction beyond the base set.
  "-fPIE",
  "-mgeneral-regs-only",
  "-mno-red-zone",
  // What a distribution's gcc may switch on by itself.
  "-fno-stack-protector",
  "-fno-stack-clash-protection",
  "-fcf-protection=none",
  "-fno-asynchronous-unwind-tables",
  // These make tables of pointers, or calls of memcpy and strlen.
  "-fno-jump-tables",
  "-fno-tree-switch-conversion",
  "-fno-tree-loop-distribute-patterns",
  "-fno-builtin",
  "-fno-ident",
];
const LINK_FLAGS = [
  "-nostdlib",
  "-static",
  "-no-pie",
  "-Wl,--build-id=none",
  "-Wl,--no-warn-rwx-segments",
  `-Wl,-T,${join(DIRECTORY, "stub.ld")}`,
];

/** The result of a build. */
export interface StubBuild {
  bytes: Uint8Array<ArrayBuffer>;
  /** First line of `gcc --version`, without the program's name: `gcc (Debian 12.4.0-5) 12.4.0`. */
  compiler: string;
}

/**
 * Compiles stub.c.
 * @throws HostError when gcc or objcopy is missing or fails
 */
export async function buildStub(): Promise<StubBuild> {
  const directory = await Deno.makeTempDir({ prefix: "urunc-stub-" });
  const object = join(directory, "stub.o");
  const elf = join(directory, "stub.elf");
  const flat = join(directory, "stub.bin");
  try {
    const [compiler = ""] = (await run("gcc", ["--version"])).split("\n");
    await run("gcc", [...COMPILE_FLAGS, "-c", join(DIRECTORY, "stub.c"), "-o", object]);
    await run("gcc", [...LINK_FLAGS, object, "-o", elf]);
    await run("objcopy", ["-O", "binary", "-j", ".stub", elf, flat]);
    return { bytes: await Deno.readFile(flat), compiler };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function run(program: string, args: string[]): Promise<string> {
  const operation = "build stub";
  let result: Deno.CommandOutput;
  try {
    result = await new Deno.Command(program, { args, env: { LC_ALL: "C" } }).output();
  } catch (cause) {
    throw new HostError({
      operation,
      subject: program,
      reason: "the program cannot be started",
      remedy: "apt-get install gcc",
      cause,
    });
  }
  if (!result.success) {
    throw new HostError({
      operation,
      subject: program,
      reason: new TextDecoder().decode(result.stderr),
    });
  }
  return new TextDecoder().decode(result.stdout);
}

/** The text of bytes.ts. */
function formatBytes({ bytes, compiler }: StubBuild): string {
  const lines = bytes.toBase64().match(/.{1,92}/g) ?? [];
  return [
    "/** Machine code of stub.c; written by build.ts, not by hand. */",
    `export const STUB_COMPILER = ${JSON.stringify(compiler)};`,
    "",
    `export const STUB_COMPILE_FLAGS = ${JSON.stringify(COMPILE_FLAGS.join(" "))};`,
    "",
    "export const STUB: Uint8Array<ArrayBuffer> = Uint8Array.fromBase64(`",
    ...lines,
    "`);",
    "",
  ].join("\n");
}

if (import.meta.main) {
  const build = await buildStub();
  const file = join(DIRECTORY, "bytes.ts");
  await Deno.writeTextFile(file, formatBytes(build));
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", file] }).output();
  console.log(`${file}: ${build.bytes.length} bytes, ${build.compiler}`);
}
