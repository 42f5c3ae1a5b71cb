/** Which tests a person means by what is typed. */
import { editDistance } from "../../lib/os/suggestion.ts";

/** Test files of each group, relative to the repository. */
export type TestFiles = Map<string, string[]>;

/** What is typed means no test, or more than one; the message lists candidates. */
export class UnclearTargetError extends Error {
  override readonly name = "UnclearTargetError";
}

/** Names in the path of a room's tests: `tests/unit/oci`. */
const ROOM_DEPTH = 3;

/** How many candidates are worth a look. */
const MAXIMUM_CANDIDATES = 12;

/**
 * The test files below `tests/GROUP` of each group.
 *
 * @param root the repository, with a slash at its end
 * @param ignored directories whose files are somebody else's to run
 */
export function listTestFiles(root: string, groups: string[], ignored: string[] = []): TestFiles {
  const walk = (directory: string): string[] =>
    entriesOf(`${root}${directory}`).flatMap(({ name, isDirectory }) => {
      const path = `${directory}/${name}`;
      if (isDirectory) return ignored.includes(path) ? [] : walk(path);
      return name.endsWith("_test.ts") ? [path] : [];
    });
  return new Map(groups.map((group) => [group, walk(`tests/${group}`).sort()]));
}

/**
 * Picks test files.
 *
 * @param targets each a group, a path of a file or a directory, or the end of one: `out_of_memory`,
 *   `docker/stop`, `stop_test.ts`; none: all files
 * @returns the groups that have some of them, in order
 * @throws UnclearTargetError
 */
export function selectTests(files: TestFiles, targets: string[]): TestFiles {
  const all = [...files.values()].flat();
  const selected = new Set(
    targets.length === 0 ? all : targets.flatMap((it) => files.get(it) ?? find(files, it)),
  );
  const groups = [...files].map(([group, its]) =>
    [group, its.filter((it) => selected.has(it))] as const
  );
  return new Map(groups.filter(([, its]) => its.length > 0));
}

function find(groups: TestFiles, target: string): string[] {
  const files = [...groups.values()].flat();
  const path = target.replace(/^\.\//, "").replace(/\/+$/, "");
  const atOrBelow = files.filter((it) => it === path || it.startsWith(`${path}/`));
  if (atOrBelow.length > 0) return atOrBelow;
  const name = stemOf(path);
  const named = files.filter((it) => endsWith(stemOf(it), name));
  const directories = directoriesOf(files).filter((it) => endsWith(it, path));
  const candidates = [...named, ...directories];
  // A room is meant rather than a test of another room.
  const [only, ...others] = candidates.some(isRoom)
    ? candidates.filter((it) => it.split("/").length === ROOM_DEPTH)
    : candidates;
  if (only === undefined) throw unknown(groups, target, name);
  if (others.length > 0) {
    throw new UnclearTargetError(message(`several tests are called ${target}`, [only, ...others]));
  }
  return files.filter((it) => it === only || it.startsWith(`${only}/`));
}

function unknown(groups: TestFiles, target: string, name: string): UnclearTargetError {
  const last = name.slice(name.lastIndexOf("/") + 1);
  const similar = [...groups.values()].flat().filter((it) => isSimilar(baseOf(it), last));
  const reason = `no such group or test: ${target}`;
  const known = `; groups are ${[...groups.keys()].join(", ")}`;
  return new UnclearTargetError(message(similar.length > 0 ? reason : reason + known, similar));
}

function message(reason: string, candidates: string[]): string {
  const more = candidates.length - MAXIMUM_CANDIDATES;
  return [
    candidates.length === 0 ? reason : `${reason}:`,
    ...candidates.slice(0, MAXIMUM_CANDIDATES).map((it) => `  ${it}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ].join("\n");
}

/** A path without what all test files' names end with. */
function stemOf(path: string): string {
  return path.replace(/(_test)?(\.ts)?$/, "");
}

function baseOf(path: string): string {
  return stemOf(path.slice(path.lastIndexOf("/") + 1));
}

function isRoom(path: string): boolean {
  return path.split("/").length === ROOM_DEPTH && !path.endsWith(".ts");
}

/** By whole names: `memory` is not the end of `out_of_memory`. */
function endsWith(path: string, end: string): boolean {
  return path === end || path.endsWith(`/${end}`);
}

function directoriesOf(files: string[]): string[] {
  const directories = new Set<string>();
  for (const file of files) {
    for (let at = file.indexOf("/"); at >= 0; at = file.indexOf("/", at + 1)) {
      directories.add(file.slice(0, at));
    }
  }
  return [...directories];
}

/** One has the other in it, or three letters differ at most. */
function isSimilar(name: string, typed: string): boolean {
  if (typed === "") return false;
  return name.includes(typed) || typed.includes(name) || editDistance(name, typed) <= 3;
}

function entriesOf(directory: string): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(directory)];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
