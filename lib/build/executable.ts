import { basename, dirname, join } from "pathe";
import { readBase } from "./base.ts";
import type { Bundle } from "./bundle.ts";
import { link } from "./link.ts";
import { DENO_ARGUMENTS, DENO_ENVIRONMENT, DROPPED_VARIABLES } from "./start_up.ts";
import { STUB } from "./stub/bytes.ts";

/**
 * Links a bundle into the Deno that runs this, and writes the executable file.
 * @param bundle the program
 * @param output path; replaced in one step, mode 0755
 * @returns the size of the file in bytes
 * @throws HostError when the running Deno is another build than the linker supports
 */
export async function writeExecutable(
  bundle: Bundle,
  output: string,
): Promise<number> {
  const bytes = link({
    base: await readBase(),
    stub: STUB,
    ...bundle,
    arguments: DENO_ARGUMENTS,
    environment: DENO_ENVIRONMENT,
    dropped: DROPPED_VARIABLES,
  });
  await Deno.mkdir(dirname(output), { recursive: true });
  // Beside the output, because a rename does not cross file systems. A running copy of the old file
  // keeps its inode.
  const temporary = join(dirname(output), `.${basename(output)}.${Deno.pid}.tmp`);
  try {
    await Deno.writeFile(temporary, bytes, { createNew: true });
    await Deno.chmod(temporary, 0o755);
    await Deno.rename(temporary, output);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
  return bytes.length;
}
