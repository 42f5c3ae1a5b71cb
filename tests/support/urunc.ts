/** The executable under test. */
import { type CommandOptions, type CommandResult, run } from "./process.ts";
import type { Scope } from "./scope.ts";

const REPOSITORY = new URL("../../", import.meta.url).pathname;

/** The repository's directory, with a slash at its end. */
export function repositoryDirectory(): string {
  return REPOSITORY;
}

/** Set: an executable to test instead of `dist/urunc`. */
const OVERRIDE = "URUNC_BINARY";

let building: Promise<string> | undefined;

/**
 * The absolute path of the executable to test: what `URUNC_BINARY` names, else `dist/urunc`, built
 * when it is not there yet. (`deno task test` builds it anew before any test runs.)
 */
export function uruncBinary(): Promise<string> {
  return building ??= locate();
}

async function locate(): Promise<string> {
  const override = Deno.env.get(OVERRIDE);
  if (override) return await Deno.realPath(override);
  const path = `${REPOSITORY}dist/urunc`;
  try {
    await Deno.stat(path);
  } catch {
    await run([Deno.execPath(), "run", "-A", "lib/build/compile.ts"], {
      cwd: REPOSITORY,
      timeoutSeconds: 300,
      check: true,
    });
  }
  return path;
}

/** How {@linkcode urunc} is called. */
export interface UruncOptions extends CommandOptions {
  /** The state directory, `--root`. Give a test its own: see {@linkcode uruncRoot}. */
  root: string;
  /** The operator's configuration, `--config`. */
  config?: string;
  /** Other global options, before the command. */
  globals?: string[];
}

/**
 * Runs `urunc --root ROOT … ARGS` to its end.
 *
 * @param args the command and its arguments
 */
export async function urunc(args: string[], options: UruncOptions): Promise<CommandResult> {
  const config = options.config === undefined ? [] : ["--config", options.config];
  return await run([
    await uruncBinary(),
    "--root",
    options.root,
    ...config,
    ...(options.globals ?? []),
    ...args,
  ], options);
}

/**
 * A private state directory. At the end of the scope every container that is still in it is
 * deleted by force, then the directory is removed.
 */
export async function uruncRoot(scope: Scope): Promise<string> {
  const root = `${await scope.temporaryDirectory("root")}/state`;
  scope.defer(`delete the containers in ${root}`, async () => {
    let ids: string[] = [];
    try {
      ids = [...Deno.readDirSync(root)].filter((it) => it.isDirectory).map((it) => it.name);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    for (const id of ids) await urunc(["delete", "--force", id], { root });
  });
  return root;
}
