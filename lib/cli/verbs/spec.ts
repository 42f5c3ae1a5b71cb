import { AlreadyExistsError, errorMessage, HostError } from "../../errors.ts";
import { specTemplate } from "../../oci/template.ts";
import { resolvePath } from "../../os/path.ts";
import type { CommandOf } from "../parser/commands.ts";

/** `urunc spec`: writes config.json of a guest to start from. Never over one that is there. */
export function spec({ bundle }: CommandOf<"spec">): number {
  const path = `${resolvePath(Deno.cwd(), bundle)}/config.json`;
  try {
    Deno.writeTextFileSync(path, JSON.stringify(specTemplate(), null, 2) + "\n", {
      createNew: true,
      mode: 0o644,
    });
  } catch (error) {
    const operation = "write spec";
    if (error instanceof Deno.errors.AlreadyExists) {
      throw new AlreadyExistsError({
        operation,
        subject: path,
        reason: "the file is there already",
        remedy: "remove it first, or name another directory with --bundle",
      });
    }
    throw new HostError({
      operation,
      subject: path,
      reason: error instanceof Deno.errors.NotFound ? "no such directory" : errorMessage(error),
      remedy: "--bundle names a directory that can be written",
      cause: error,
    });
  }
  return 0;
}
