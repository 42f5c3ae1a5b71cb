import { HostError } from "../errors.ts";
import { writeNew } from "./files.ts";
import { type Engine, FILES } from "./places.ts";

/** How an engine itself reads a configuration, where it can. */
const DUMPS: Partial<Record<Engine, (path: string) => string[]>> = {
  containerd: (path) => ["--config", path, "config", "dump"],
  docker: (path) => ["--validate", "--config-file", path],
};

/**
 * Asks an engine whether it accepts a configuration, before it is written.
 *
 * @param path where it is to be; beside it, because what it includes may be named from there
 * @throws HostError when the engine itself does not accept it
 */
export async function requireAccepted(
  engine: Engine,
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  const candidate = `${path}.urunc-candidate-${Deno.pid}`;
  const args = DUMPS[engine]?.(candidate);
  if (args === undefined) return;
  const { program } = FILES[engine];
  writeNew(candidate, bytes, 0o600);
  try {
    const output = await new Deno.Command(program, { args, stdin: "null" }).output();
    if (!output.success) throw refused(program, path, textOf(output).replaceAll(candidate, path));
  } catch (error) {
    // Of a node that has its configuration only: an image, or another root directory.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  } finally {
    Deno.removeSync(candidate);
  }
}

function textOf({ stderr }: Deno.CommandOutput): string {
  return new TextDecoder().decode(stderr).trim();
}

function refused(program: string, path: string, said: string): HostError {
  return new HostError({
    operation: "add the runtime to",
    subject: path,
    reason: `${program} does not accept it: ${said || "it says nothing"}`,
    remedy: "the file is as it was; correct it first",
  });
}
