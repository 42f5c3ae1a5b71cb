import { execRuntime } from "../runc/exec.ts";
import { isGuest, isGuestByPolicy, requireOrdinaryAllowed, summarizeBundle } from "../runc/kind.ts";
import { isId } from "../container/id.ts";
import { Store } from "../container/store.ts";
import { findRuntime } from "../runc/runtime_program.ts";
import { errorMessage, HostError } from "../errors.ts";
import { resolvePath } from "../os/path.ts";
import type { CommandOf, GlobalOptions } from "./parser/commands.ts";
import type { Context } from "./context.ts";
import { globalOptions } from "./parser/options.ts";
import { parseGlobals } from "./parser/parse.ts";
import { isDirectory } from "../os/files.ts";

/**
 * Where the OCI runtime keeps the state of containers that are not guests, below our own state directory.
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
 * @throws HostError when the record of which program that is could be forged, or is missing
 */
export function handOver(args: string[]): void {
  const verbIndex = findVerb(args);
  if (verbIndex < 0 || ["create", "run"].includes(args[verbIndex]!)) return;
  const { root } = parseGlobals(args);
  const directory = delegatedDirectory(root);
  if (!isDirectory(directory)) return;
  const store = new Store(resolvePath(Deno.cwd(), root));
  // The first that is any container's: a signal, or an option's value, could be another's id.
  const isGuestsId = (id: string) => isDirectory(store.pathOf(id));
  const id = args.slice(verbIndex + 1).filter(isId).find((word) =>
    isGuestsId(word) || isDirectory(`${directory}/${word}`)
  );
  if (id === undefined || isGuestsId(id)) return;
  // What it names is executed as root.
  store.requireTrusted();
  execRuntime(readRecord(directory, id), withoutOwnOptions(args, verbIndex, directory));
}

/** The program that runs a container. */
function readRecord(directory: string, id: string): string {
  try {
    return Deno.readTextFileSync(`${directory}/${id}${RUNTIME_SUFFIX}`);
  } catch (cause) {
    throw new HostError({
      operation: "find the OCI runtime",
      subject: `of ${id}`,
      reason: errorMessage(cause),
      remedy: `the runtime that made it can remove it: --root ${directory} delete --force ${id}`,
      cause,
    });
  }
}

/**
 * Has the OCI runtime create a container that is not a guest.
 *
 * @returns only when it is a guest
 * @throws InvalidConfigurationError, HostError, NotAllowedError
 */
export async function handOverCreation(
  command: GlobalOptions & (CommandOf<"create"> | CommandOf<"run">),
  context: Context,
): Promise<void> {
  const bundle = resolvePath(Deno.cwd(), command.bundle);
  if (!isOrdinary(bundle)) return;
  context.store.requireFree(command.id);
  const configuration = await context.configuration();
  const summary = summarizeBundle(bundle);
  if (isGuestByPolicy(summary, configuration)) return;
  requireOrdinaryAllowed(summary, configuration);
  const program = findRuntime(configuration.oci_runtime);
  const directory = delegatedDirectory(command.root);
  const { redirectQueueProxy } = await import("../runc/queue_proxy.ts");
  redirectQueueProxy(bundle, summary.annotations);
  Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
  removeStaleRecords(directory);
  context.log.debug(`exec ${program}`, { id: command.id });
  Deno.writeTextFileSync(`${directory}/${command.id}${RUNTIME_SUFFIX}`, program, { mode: 0o600 });
  const args = context.commandLine;
  execRuntime(program, withoutOwnOptions(args, findVerb(args), directory));
}

/** What cannot be read is for those who say what is wrong with it. */
function isOrdinary(bundle: string): boolean {
  try {
    return !isGuest(summarizeBundle(bundle));
  } catch {
    return false;
  }
}

function delegatedDirectory(root: string): string {
  return `${resolvePath(Deno.cwd(), root)}/${DELEGATED_DIRECTORY}`;
}

/** Removes the records of deleted containers: the process that deletes one has been replaced by then. */
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
      // Another process has done it.
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

/** The index of the first argument that is neither a global option nor its value; -1 when none is. */
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
