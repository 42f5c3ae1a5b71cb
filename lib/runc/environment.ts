/**
 * The environment that this program was called with, as `NAME=value`. What Deno and the entry stub made
 * of it is their own.
 *
 * @see proc_pid_environ(5)
 */
export function callersEnvironment(): string[] {
  return Deno.readTextFileSync("/proc/self/environ").split("\0").filter((entry) =>
    entry.includes("=") && !/^URUNC_(ARGV0|FILE_LIMIT)=/.test(entry)
  );
}
