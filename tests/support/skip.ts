/**
 * Tests that need something of the machine: they are skipped, loudly, where it is missing. The
 * reason stands in the test's name, so that whatever prints the results prints it too.
 */
import { type Deadline, whenOver } from "./busy.ts";
import { scopesFromNow } from "./scope.ts";

/** `root`, `kvm` (/dev/kvm opens), or the name of a program on the search path. */
export type Need = "root" | "kvm" | "gcc" | "qemu-system-x86_64" | (string & Record<never, never>);

/** Options of {@linkcode testIf}. */
export interface TestIfOptions {
  /** All of these must be there. */
  needs?: Need[];
  /** A reason to skip that the test file found out by itself. */
  skip?: string;
  /** How long the test may run, 120 by default; longer on a busy machine (`whenOver`). */
  timeoutSeconds?: number;
  /** `false`: there is no such test in a node (tests/vm), which would take long and say nothing new. */
  inNode?: false;
}

/** How long the clean-up of a test that is given up may take. */
const UNDO_SECONDS = 60;

/** In the environment of tests that run in a node (tests/vm). */
export const NODE_MARK = "URUNC_TEST_NODE";

/** Between a skipped test's name and the reason; {@linkcode splitSkipName} takes them apart. */
const SKIP_MARK = " ~ skipped: ";

/**
 * Registers a test, or a skipped one whose name says what the machine lacks.
 *
 * @param name unique in its file
 * @param options see {@linkcode TestIfOptions}
 * @param fn fails by throwing
 */
export function testIf(
  name: string,
  options: TestIfOptions,
  fn: (context: Deno.TestContext) => void | Promise<void>,
): void {
  if (options.inNode === false && inNode()) return;
  const reason = options.skip ??
    (options.needs ?? []).map(missingReason).find((it) => it !== undefined);
  const seconds = options.timeoutSeconds ?? 120;
  Deno.test({
    name: reason === undefined ? name : skippedName(name, reason),
    ignore: reason !== undefined,
    fn: (context) => withTimeout(name, seconds, () => fn(context)),
  });
}

/** Whether this is a node's test process. */
export function inNode(): boolean {
  return Deno.env.has(NODE_MARK);
}

/** What a skipped test, or step of a test, is called. */
export function skippedName(name: string, reason: string): string {
  return `${name}${SKIP_MARK}${reason}`;
}

/** The name and the reason of a test that {@linkcode testIf} skipped. */
export function splitSkipName(testName: string): { name: string; reason?: string } {
  const at = testName.indexOf(SKIP_MARK);
  return at < 0
    ? { name: testName }
    : { name: testName.slice(0, at), reason: testName.slice(at + SKIP_MARK.length) };
}

/** At the end of the name of what failed in one node; {@linkcode splitAnotherNodeName} takes it off. */
const ANOTHER_NODE_MARK = " ~ passed only in another node";

/** What a test, or step of a test, is called that passed where an earlier node had not let it. */
export function anotherNodeName(name: string): string {
  return `${name}${ANOTHER_NODE_MARK}`;
}

/** The name itself of a test, and whether it passed only in another node. */
export function splitAnotherNodeName(testName: string): { name: string; anotherNode: boolean } {
  const anotherNode = testName.endsWith(ANOTHER_NODE_MARK);
  return {
    name: anotherNode ? testName.slice(0, -ANOTHER_NODE_MARK.length) : testName,
    anotherNode,
  };
}

/** Why a need is not met here, or undefined when it is. */
export function missingReason(need: Need): string | undefined {
  if (need === "root") return Deno.uid() === 0 ? undefined : "needs root";
  if (need === "kvm") return missingKvm();
  return findProgram(need) === undefined ? `needs ${need} on PATH` : undefined;
}

/**
 * The absolute path of a program, or undefined. The administrator's directories are searched even
 * when PATH lacks them: an ordinary user's does on Debian.
 */
export function findProgram(name: string): string | undefined {
  const directories = [
    ...(Deno.env.get("PATH") ?? "").split(":"),
    "/usr/local/sbin",
    "/usr/sbin",
    "/sbin",
    "/usr/bin",
    "/bin",
    // Of programs that others start.
    "/usr/libexec",
  ];
  for (const directory of directories) {
    if (!directory.startsWith("/")) continue;
    const path = `${directory}/${name}`;
    try {
      const stat = Deno.statSync(path);
      if (stat.isFile && ((stat.mode ?? 0) & 0o111) !== 0) return path;
    } catch { /* not in this directory */ }
  }
  return undefined;
}

function missingKvm(): string | undefined {
  try {
    Deno.openSync("/dev/kvm", { read: true, write: true }).close();
    return undefined;
  } catch (error) {
    return `needs /dev/kvm: ${error instanceof Error ? error.message : error}`;
  }
}

/**
 * Runs a test, and gives it up when it takes too long: the scopes that it has opened are undone.
 *
 * @throws Error when it did not end in time, or what it throws
 */
export async function withTimeout(name: string, seconds: number, fn: () => void | Promise<void>) {
  const undo = scopesFromNow();
  let deadline: Deadline | undefined;
  let late: Promise<never> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    deadline = whenOver(seconds, () => {
      late = giveUp(`test "${name}" did not end within ${seconds} s`, undo);
      late.catch(reject);
    });
  });
  try {
    await Promise.race([fn(), timeout]);
  } catch (error) {
    // What it waited for may have been taken from it.
    await late;
    throw error;
  } finally {
    deadline?.cancel();
  }
  await late;
}

/** The test itself goes on waiting; what it has made does not stay for that. */
async function giveUp(message: string, undo: () => Promise<void>): Promise<never> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const patience = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, UNDO_SECONDS * 1000);
  });
  await Promise.race([undo(), patience]);
  clearTimeout(timer);
  throw new Error(message);
}
