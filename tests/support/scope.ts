import { RUN_PREFIX } from "./mark.ts";

/**
 * A list of things to undo, in reverse, whatever happens: use it as
 * `await using scope = new Scope()`. A test run that is asked to end (SIGTERM, which the runner
 * sends) undoes all open scopes before it exits; Deno itself would not run a single `finally`.
 */
export class Scope implements AsyncDisposable {
  #undo: { what: string; fn: () => unknown }[] = [];
  #undoing: Promise<void> | undefined;

  constructor() {
    openScopes.add(this);
    listenForTermination();
  }

  /**
   * Adds a clean-up.
   *
   * @param what for the error message when it fails
   * @param fn must tolerate that what it undoes is already gone
   */
  defer(what: string, fn: () => unknown): void {
    this.#undo.push({ what, fn });
  }

  /**
   * A directory of its own, removed with all its content at the end. Its name bears the run's mark, by
   * which the search for leaks knows it.
   *
   * @param dir where, if not where temporary files usually are
   */
  async temporaryDirectory(name = "dir", dir?: string): Promise<string> {
    const path = await Deno.makeTempDir({ dir, prefix: `${RUN_PREFIX}${name}-` });
    // Other users (the monitor's) must be able to pass through.
    await Deno.chmod(path, 0o755);
    this.defer(`remove ${path}`, () => removeTree(path));
    return path;
  }

  /** Undoes everything; every clean-up is tried, then the failures are thrown together. */
  [Symbol.asyncDispose](): Promise<void> {
    // A test that ends because its run is asked to end waits for the clean-up that goes on already.
    return this.#undoing ??= this.#undoAll();
  }

  async #undoAll(): Promise<void> {
    openScopes.delete(this);
    const failures: Error[] = [];
    for (let entry = this.#undo.pop(); entry !== undefined; entry = this.#undo.pop()) {
      try {
        await entry.fn();
      } catch (error) {
        failures.push(new Error(`clean-up failed: ${entry.what}`, { cause: error }));
      }
    }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) {
      throw new AggregateError(failures, failures.map((it) => it.message).join("; "));
    }
  }
}

/** How long the clean-up may take of a process that is asked to end. */
export const CLEAN_UP_SECONDS = 60;

const openScopes = new Set<Scope>();
let listening = false;

/**
 * For what may have to be given up: a function that undoes all scopes that were opened since now, and
 * are still open. What fails of that is printed.
 */
export function scopesFromNow(): () => Promise<void> {
  const before = new Set(openScopes);
  return () => undoScopes([...openScopes].filter((scope) => !before.has(scope)));
}

/** For a process that hears SIGTERM by itself, and then comes to the ends of its scopes. */
export function hearTerminationElsewhere(): void {
  listening = true;
}

function listenForTermination(): void {
  if (listening) return;
  listening = true;
  Deno.addSignalListener("SIGTERM", async () => {
    await undoScopes([...openScopes]);
    // The test runner turns Deno.exit into a failed test and goes on.
    Deno.kill(Deno.pid, "SIGKILL");
  });
}

async function undoScopes(scopes: Scope[]): Promise<void> {
  for (const scope of scopes.reverse()) {
    try {
      await scope[Symbol.asyncDispose]();
    } catch (error) {
      console.error(error);
    }
  }
}

async function removeTree(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
