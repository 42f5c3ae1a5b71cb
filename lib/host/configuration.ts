import { defaultConfiguration, parseConfiguration } from "../config/parse.ts";
import type { Configuration } from "../config/types.ts";
import { InvalidConfigurationError } from "../errors.ts";
import { isThere, readBounded } from "../os/files.ts";

/** Where the operator's configuration is looked for when the command line names no other. */
export const CONFIGURATION_PATH = "/etc/urunc/config.toml";
const MAXIMUM_CONFIGURATION_BYTES = 1024 * 1024;

/**
 * Reads the operator's configuration. Without a file at the usual place the defaults hold; a file
 * that was named must exist.
 *
 * @param path undefined: the usual place
 * @throws InvalidConfigurationError naming the key, HostError when the file cannot be read
 */
export async function loadConfiguration(path: string | undefined): Promise<Configuration> {
  if (path === undefined && !isThere(CONFIGURATION_PATH)) return defaultConfiguration();
  const file = path ?? CONFIGURATION_PATH;
  const bytes = readBounded(file, MAXIMUM_CONFIGURATION_BYTES, { operation: "read configuration" });
  try {
    return await parseConfiguration(new TextDecoder().decode(bytes));
  } catch (error) {
    if (!(error instanceof InvalidConfigurationError)) throw error;
    // Whoever reads it called docker, and may not know that there is such a file.
    const { remedy } = error.parts;
    const where = `it is in ${file}`;
    throw new InvalidConfigurationError({
      ...error.parts,
      remedy: remedy === undefined ? where : `${remedy}; ${where}`,
    });
  }
}
