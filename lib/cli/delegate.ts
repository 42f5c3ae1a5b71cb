import { become } from "../delegate/become.ts";
import { glanceAtBundle, isGuest } from "../delegate/kind.ts";
import { findRuntime } from "../delegate/runtime_program.ts";
import { resolvePath } from "../path.ts";
import type { CommandOf, GlobalOptions } from "./commands.ts";
import type { Context } from "./context.ts";
import { DEFAULT_ROOT, globalOptions } from "./options.ts";

/**
 * Where the OCI runtime keeps the state of containers that are no guests, below our own state directory.
 * No container has such an id.
 */
const DELEGATED_DIRECTORY = "~oci";

/** Beside a container's state: which program runs it. */
const RUNTIME_SUFFIX = "~runtime";

/** By then an OCI runtime that was asked for a container has begun to keep its state. */
const CREATION_MILLISECONDS = 60_000;

/**
 * Hands a whole command line to the OCI runtime, when it is about a container that this runs: also
 * commands and options that we do not know.
 *
 * @param args the arguments after the program's name
 * @returns only when it is not
 */
export function handOver(args: string[]): void {
  const verbIndex = findVerb(args);
  if (verbIndex < 0 || ["create", "run"].includes(args[verbIndex]!)) return;
  const directory = delegatedDirectory(optionIn(args.slice(0, verbIndex), "--root"));
  if (!isDirectory(directory)) return;
  const id = args.slice(verbIndex + 1).find((word) =>
    /^[A-Za-z0-9_+\-.]+$/.test(word) && !word.startsWith("-") && isDirectory(`${directory}/${word}`)
  );
  if (id === undefined) return;
  const record = `${directory}/${id}${RUNTIME_SUFFIX}`;
  const program = Deno.readTextFileSync(record);
  become(program, withoutOwnOptions(args, verbIndex, directory));
}

/**
 * Hands the creation of a container that is no guest to the OCI runtime.
 *
 * @returns only when it is a guest
 * @throws InvalidConfigurationError, HostError
 */
export async function handOverCreation(
  command: GlobalOptions & (CommandOf<"create"> | CommandOf<"run">),
  context: Context,
): Promise<void> {
  const bundle = resolvePath(Deno.cwd(), command.bundle);
  if (!isOrdinary(bundle)) return;
  context.store.requireFree(command.id);
  const { oci_runtime } = await context.configuration();
  const program = findRuntime(oci_runtime);
  const directory = delegatedDirectory(command.root);
  const { tellQueueProxy } = await import("../delegate/queue_proxy.ts");
  tellQueueProxy(bundle, glanceAtBundle(bundle).annotations);
  Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
  removeStaleRecords(directory);
  Deno.writeTextFileSync(`${directory}/${command.id}${RUNTIME_SUFFIX}`, program, { mode: 0o600 });
  const args = context.commandLine;
  become(program, withoutOwnOptions(args, findVerb(args), directory));
}

/** What cannot be read is for those who say what is wrong with it. */
function isOrdinary(bundle: string): boolean {
  try {
    return !isGuest(glanceAtBundle(bundle));
  } catch {
    return false;
  }
}

function delegatedDirectory(root = DEFAULT_ROOT): string {
  return `${resolvePath(Deno.cwd(), root)}/${DELEGATED_DIRECTORY}`;
}

/** Of containers that are gone: whoever deletes one has become another program by then. */
function removeStaleRecords(directory: string): void {
  const now = Date.now();
  for (const { name } of Deno.readDirSync(directory)) {
    if (!name.endsWith(RUNTIME_SUFFIX)) continue;
    const path = `${directory}/${name}`;
    try {
      const isYoung = now - Deno.statSync(path).mtime!.getTime() < CREATION_MILLISECONDS;
      if (isYoung || isDirectory(path.slice(0, -RUNTIME_SUFFIX.length))) continue;
      Deno.removeSync(path);
    } catch (error) {
      // Somebody else has done it.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** Global options that an OCI runtime has as well, and its own root; then the rest as it is. */
function withoutOwnOptions(args: string[], verbIndex: number, directory: string): string[] {
  const globals = args.slice(0, verbIndex);
  const kept: string[] = [];
  for (let index = 0; index < globals.length; index++) {
    const word = globals[index]!;
    const [name] = word.split("=", 1);
    const words = word.includes("=") || !takesValue(word) ? [word] : [word, globals[++index]!];
    if (name !== "--root" && name !== "--config") kept.push(...words);
  }
  return ["--root", directory, ...kept, ...args.slice(verbIndex)];
}

/** The index of the first word that is neither a global option nor its value; -1: there is none. */
function findVerb(args: string[]): number {
  for (let index = 0; index < args.length; index++) {
    const word = args[index]!;
    if (!word.startsWith("-")) return index;
    if (takesValue(word)) index++;
  }
  return -1;
}

function takesValue(option: string): boolean {
  return Object.values(globalOptions).some(({ kind, names }) =>
    kind !== "flag" && (names as readonly string[]).includes(option)
  );
}

function optionIn(globals: string[], name: string): string | undefined {
  let value: string | undefined;
  globals.forEach((word, index) => {
    if (word === name) value = globals[index + 1];
    if (word.startsWith(`${name}=`)) value = word.slice(name.length + 1);
  });
  return value;
}

function isDirectory(path: string): boolean {
  try {
    return Deno.lstatSync(path).isDirectory;
  } catch {
    return false;
  }
}
