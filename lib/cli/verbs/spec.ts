import { AlreadyExistsError } from "../../errors.ts";
import { specTemplate } from "../../oci/template.ts";
import { resolvePath } from "../../path.ts";
import type { CommandOf } from "../commands.ts";

/** `urunc spec`: writes config.json of a guest to start from. Never over one that is there. */
export function spec({ bundle }: CommandOf<"spec">): number {
  const path = `${resolvePath(Deno.cwd(), bundle)}/config.json`;
  try {
    Deno.writeTextFileSync(path, JSON.stringify(specTemplate(), null, 2) + "\n", {
      createNew: true,
      mode: 0o644,
    });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    throw new AlreadyExistsError({
      operation: "write spec",
      subject: path,
      reason: "the file is there already",
      remedy: "remove it first, or name another directory with --bundle",
    });
  }
  return 0;
}
