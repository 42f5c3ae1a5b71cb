import { errorMessage, HostError } from "../errors.ts";

/**
 * Written atomically: a caller that waits for the file reads it right away.
 *
 * @param undone what became of the process, for the error
 * @throws HostError naming the path
 */
export function writePidFile(path: string, pid: number, undone: string): void {
  const temporary = `${path}.${Deno.pid}.new`;
  try {
    Deno.writeTextFileSync(temporary, String(pid), { createNew: true, mode: 0o644 });
    renameOrRemove(temporary, path);
  } catch (error) {
    throw new HostError({
      operation: "write pid file",
      subject: path,
      reason: errorMessage(error),
      remedy: `--pid-file names a file in a directory that is there; ${undone}`,
      cause: error,
    });
  }
}

function renameOrRemove(from: string, to: string): void {
  try {
    Deno.renameSync(from, to);
  } catch (error) {
    Deno.removeSync(from);
    throw error;
  }
}
