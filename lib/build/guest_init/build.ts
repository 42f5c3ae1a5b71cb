/**
 * Builds the Linux guests' first program with gcc, for whoever changes init.c; making the executable
 * needs no compiler. `deno run -A lib/build/guest_init/build.ts` writes
 * lib/guest/initrd/init_bytes.ts anew.
 */
import { join } from "pathe";
import { HostError } from "../../errors.ts";

const DIRECTORY = import.meta.dirname ?? ".";
const TARGET = join(DIRECTORY, "../../unikernel/initrd/init_bytes.ts");

const FLAGS = [
  "-std=c17",
  "-Os",
  "-Wall",
  "-Wextra",
  "-Werror",
  "-ffreestanding",
  "-fno-pic",
  // The base instruction set, whatever processor the guest has.
  "-march=x86-64",
  "-mgeneral-regs-only",
  // What a distribution's gcc may switch on by itself.
  "-fno-stack-protector",
  "-fno-stack-clash-protection",
  "-fcf-protection=none",
  "-fno-asynchronous-unwind-tables",
  // These make calls of memcpy and strlen.
  "-fno-tree-loop-distribute-patterns",
  "-fno-builtin",
  "-fno-ident",
  "-nostdlib",
  "-static",
  "-no-pie",
  "-s",
  "-Wl,--build-id=none",
  "-Wl,-z,noexecstack",
  "-Wl,-z,noseparate-code",
  "-Wl,-z,max-page-size=4096",
];

/** The result of a build. */
export interface GuestInitBuild {
  bytes: Uint8Array<ArrayBuffer>;
  /** First line of `gcc --version`: `gcc (Debian 12.4.0-5) 12.4.0`. */
  compiler: string;
}

/**
 * Compiles init.c.
 *
 * @throws HostError when gcc is missing or fails
 */
export async function buildGuestInit(): Promise<GuestInitBuild> {
  const directory = await Deno.makeTempDir({ prefix: "urunc-init-" });
  const file = join(directory, "init");
  try {
    const [compiler = ""] = (await gcc(["--version"])).split("\n");
    await gcc([...FLAGS, join(DIRECTORY, "init.c"), "-o", file]);
    return { bytes: await Deno.readFile(file), compiler };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function gcc(args: string[]): Promise<string> {
  const operation = "build the guests' first program";
  let result: Deno.CommandOutput;
  try {
    result = await new Deno.Command("gcc", { args, env: { LC_ALL: "C" } }).output();
  } catch (cause) {
    throw new HostError({
      operation,
      subject: "gcc",
      reason: "the program cannot be started",
      remedy: "apt-get install gcc",
      cause,
    });
  }
  if (!result.success) {
    throw new HostError({ operation, reason: new TextDecoder().decode(result.stderr) });
  }
  return new TextDecoder().decode(result.stdout);
}

/** The text of init_bytes.ts. */
function formatBytes({ bytes, compiler }: GuestInitBuild): string {
  const lines = bytes.toBase64().match(/.{1,92}/g) ?? [];
  return [
    "/** lib/build/guest_init/init.c as a static executable; written by build.ts there, not by hand. */",
    `export const GUEST_INIT_COMPILER = ${JSON.stringify(compiler)};`,
    "",
    "export const GUEST_INIT: Uint8Array<ArrayBuffer> = Uint8Array.fromBase64(`",
    ...lines,
    "`);",
    "",
  ].join("\n");
}

if (import.meta.main) {
  const build = await buildGuestInit();
  await Deno.writeTextFile(TARGET, formatBytes(build));
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", TARGET] }).output();
  console.log(`${TARGET}: ${build.bytes.length} bytes, ${build.compiler}`);
}
