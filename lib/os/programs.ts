import { getrlimit, RLIMIT_NOFILE, setrlimit, spawn, type SpawnOptions } from "../../ffi/linux.ts";

/**
 * Starts another program, as `spawn`, with the limit of open files that this one was called
 * with.
 *
 * @throws LinuxError
 */
export function spawnProgram(options: SpawnOptions): number {
  return spawn({ ...options, fileLimit: callersFileLimit() });
}

/**
 * The same for a program that this process is about to become.
 *
 * @throws LinuxError
 */
export function restoreFileLimit(): void {
  const soft = callersFileLimit();
  if (soft !== undefined) setrlimit(RLIMIT_NOFILE, { ...getrlimit(RLIMIT_NOFILE), soft });
}

/**
 * Deno has raised the soft limit of open files to the hard one. Programs inherit it, some of which then
 * close a million descriptors one by one, or use select(2). When run from sources, the former limit is unknown,
 * and it stays.
 */
function callersFileLimit(): bigint | undefined {
  const former = Deno.env.get("URUNC_FILE_LIMIT");
  if (former === undefined || !/^\d+$/.test(former)) return undefined;
  const { soft } = getrlimit(RLIMIT_NOFILE);
  return BigInt(former) < soft ? BigInt(former) : undefined;
}
