/**
 * Names the commit that a directory is at.
 * @param directory inside a work tree
 * @returns the full hash, with `-dirty` when tracked files differ from it; `unknown` without git
 */
export async function describeCommit(directory: string): Promise<string> {
  const hash = await git(directory, ["rev-parse", "HEAD"]);
  if (hash === undefined) return "unknown";
  const changes = await git(directory, ["status", "--porcelain", "--untracked-files=no"]);
  return changes === "" ? hash : `${hash}-dirty`;
}

/** The trimmed output, or undefined when git is missing or fails. */
async function git(directory: string, args: string[]): Promise<string | undefined> {
  try {
    const { success, stdout } = await new Deno.Command("git", {
      args: ["-C", directory, ...args],
      stdin: "null",
      stderr: "null",
    }).output();
    return success ? new TextDecoder().decode(stdout).trim() : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
