/** How Deno runs the tests, by any of the tasks. */

/**
 * The arguments of `deno` before the files. Types are checked by `deno task ok`. V8 as in the linked
 * program, or errno is wrong now and then.
 */
export const DENO_TEST = ["test", "-A", "--no-check", "--v8-flags=--single-threaded"];

/**
 * The lock file decides what is downloaded, where there is one.
 *
 * @param root the repository, with a slash at its end
 */
export function lockFlags(root: string): string[] {
  try {
    Deno.statSync(`${root}deno.lock`);
    return ["--frozen"];
  } catch {
    return ["--no-lock"];
  }
}

/** What is typed after the name of a task. */
export interface TestArguments {
  targets: string[];
  /** As `deno test` takes it. */
  filter?: string;
  /** `--watch`, `--coverage`. */
  flags: string[];
}

/**
 * @param allowed flags
 * @throws Error that names an option that is none
 */
export function parseTestArguments(args: string[], allowed: string[]): TestArguments {
  const parsed: TestArguments = { targets: [], flags: [] };
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === "--filter") parsed.filter = args[++i];
    else if (arg.startsWith("--filter=")) parsed.filter = arg.slice("--filter=".length);
    else if (allowed.includes(arg)) parsed.flags.push(arg);
    else if (arg.startsWith("-")) {
      throw new Error(`no such option: ${arg}; there are ${["--filter", ...allowed].join(" ")}`);
    } else parsed.targets.push(arg);
  }
  return parsed;
}
