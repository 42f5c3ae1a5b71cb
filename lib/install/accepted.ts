import { HostError } from "../errors.ts";
import { type Engine, FILES } from "./places.ts";

/** How an engine itself reads a configuration, where it can. */
const DUMPS: Partial<Record<Engine, (path: string) => string[]>> = {
  containerd: (path) => ["--config", path, "config", "dump"],
  docker: (path) => ["--validate", "--config-file", path],
};

/** @throws HostError when the engine itself does not accept its configuration */
export async function requireAccepted(engine: Engine, path: string): Promise<void> {
  const args = DUMPS[engine]?.(path);
  if (args === undefined) return;
  const { program } = FILES[engine];
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(program, { args, stdin: "null" }).output();
  } catch (error) {
    // Of a node that has its configuration only: an image, or another root directory.
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (output.success) return;
  const said = new TextDecoder().decode(output.stderr).trim();
  throw new HostError({
    operation: "add the runtime to",
    subject: path,
    reason: `${program} does not accept it: ${said || "it says nothing"}`,
    remedy: "the file is as it was; correct it first",
  });
}
