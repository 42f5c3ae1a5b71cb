import { errorMessage, HostError } from "../errors.ts";
import { readIfThere } from "../os/files.ts";
import { parentPath, resolvePath } from "../os/path.ts";
import { isElf, readInterpreter } from "./interpreter.ts";

/**
 * Where it is kept what libraries programs need. No container has such an id, nor does `--root` name
 * another place: it is about programs of the host.
 */
const CACHE = "/run/urunc/~libraries";

/** A format of another number is not read. */
const CACHE_VERSION = 1;

/** Of the dynamic linker: it changes whenever libraries are installed (ldconfig(8)). */
const LINKER_CACHE = "/etc/ld.so.cache";

/** Directories that the linker looks in without its cache, of one processor or several: ld.so(8). */
const STANDARD_DIRECTORY = /^(\/usr)?\/lib[0-9a-z]*(\/[^/]+-linux-[^/]+)?$/;

/** A line of `ld.so --list`: `libm.so.6 => /lib64/libm.so.6 (0x00007f…)`, or the linker's own path. */
const LISTED = /^\s+(?:\S+ => )?(\/.*) \(0x[0-9a-f]+\)$/gm;

/** glibc's, which it loads by itself when a thread exits: pthread_exit(3). */
const UNWINDER = "libgcc_s.so.1";
const C_LIBRARY = /\/libc\.so\.[0-9]+$/;

/** What was found, and how the host looked: a file or directory by its path. */
interface Found {
  /** Sorted. */
  files: string[];
  stamps: Record<string, string>;
}

/**
 * Finds the libraries that a program is started with, and those of the modules that it loads: the dynamic
 * linker itself says which. That is kept until the program, or a directory of what it needs, changes, where
 * a package that adds a module changes the program, too.
 *
 * @param binary absolute path, symlinks resolved
 * @param modules absolute paths, which need not exist
 * @param cache a directory, root's alone; another in tests
 * @returns absolute paths of the linker, the libraries and the modules; none for a program that is linked
 *   statically
 * @throws HostError naming the library that is not there
 */
export function findLibraries(
  binary: string,
  modules: readonly string[] = [],
  cache: string = CACHE,
): string[] {
  const key = `${cache}/${encodeURIComponent(binary)}`;
  const kept = readKept(key);
  if (kept !== undefined) return kept;
  requireProgram(binary);
  const interpreter = readInterpreter(binary);
  if (interpreter === undefined) return [];
  const found = resolve(interpreter, binary, modules);
  keep(key, found);
  return found.files;
}

/** The kernel would look for a script's interpreter in the monitor's root, which has none. */
function requireProgram(binary: string): void {
  if (isElf(binary)) return;
  throw new HostError({
    operation: "find the monitor's libraries",
    subject: binary,
    reason: "it is not a program but another file, a script for example",
    remedy:
      "name the monitor itself: a script cannot run in the monitor's root, which has no shell",
  });
}

function resolve(interpreter: string, binary: string, modules: readonly string[]): Found {
  const loaded = modules.filter(isFile);
  const files = new Set([interpreter, ...loaded]);
  for (const program of [binary, ...loaded]) {
    for (const file of listLibraries(interpreter, program)) files.add(file);
  }
  for (const file of [...files].filter((it) => C_LIBRARY.test(it))) {
    const unwinder = `${parentPath(file)}/${UNWINDER}`;
    if (isFile(unwinder)) files.add(unwinder);
  }
  const needsCache = [...files].some((file) => !STANDARD_DIRECTORY.test(parentPath(file)));
  if (needsCache && isFile(LINKER_CACHE)) files.add(LINKER_CACHE);
  const directories = [...files].map(parentPath);
  return {
    files: [...files].sort(),
    stamps: stampsOf([binary, LINKER_CACHE, ...directories]),
  };
}

function stampsOf(paths: string[]): Record<string, string> {
  return Object.fromEntries(paths.map((path) => [path, stampOf(path)]));
}

/** @see ld.so(8), --list; musl's linker has it, too */
function listLibraries(interpreter: string, program: string): string[] {
  const fail = (reason: string, cause?: unknown) =>
    new HostError({ operation: "find the monitor's libraries", subject: program, reason, cause });
  const command = new Deno.Command(interpreter, {
    args: ["--list", program],
    clearEnv: true,
    cwd: "/",
    stdin: "null",
  });
  let output: Deno.CommandOutput;
  try {
    output = command.outputSync();
  } catch (cause) {
    throw fail(`${interpreter}: ${errorMessage(cause)}`, cause);
  }
  const text = new TextDecoder().decode(output.stdout);
  // `PROGRAM: error while loading shared libraries: NAME: cannot open …`
  const said = new TextDecoder().decode(output.stderr).trim();
  if (!output.success) {
    throw fail(said.startsWith(`${program}: `) ? said.slice(program.length + 2) : said);
  }
  // A path that a program gives relative to its own has `..` in it.
  return [...text.matchAll(LISTED)].map(([, path]) => resolvePath("/", path!));
}

function readKept(key: string): string[] | undefined {
  try {
    const { version, files, stamps } = JSON.parse(readIfThere(key) ?? "{}");
    if (version !== CACHE_VERSION) return undefined;
    const isOld = Object.entries(stamps).some(([path, stamp]) => stampOf(path) !== stamp);
    return isOld ? undefined : files;
  } catch {
    // It can be made anew.
    return undefined;
  }
}

/** For the next container; where nothing can be written, that asks the linker again. */
function keep(key: string, found: Found): void {
  const unfinished = `${key}.${Deno.pid}`;
  try {
    Deno.mkdirSync(parentPath(key), { recursive: true, mode: 0o700 });
    Deno.writeTextFileSync(
      unfinished,
      JSON.stringify({ version: CACHE_VERSION, ...found }),
      { createNew: true, mode: 0o600 },
    );
    Deno.renameSync(unfinished, key);
  } catch {
    // Nothing depends on it. Half a file must not stay: this pid could not write it again.
    try {
      Deno.removeSync(unfinished);
    } catch {
      // It was not made.
    }
  }
}

/** Changes with what has this name: another file, or other entries of the directory. */
function stampOf(path: string): string {
  try {
    const { ino, size, mtime, ctime } = Deno.statSync(path);
    return `${ino} ${size} ${mtime?.getTime()} ${ctime?.getTime()}`;
  } catch {
    return "";
  }
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
