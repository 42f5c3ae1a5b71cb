import { defaultConfiguration, parseConfiguration } from "../config/parse.ts";
import type { Configuration } from "../config/types.ts";
import { InvalidConfigurationError } from "../errors.ts";
import { isThere, readBounded } from "../os/files.ts";

/** The operator's configuration, unless the command line names another. */
export const CONFIGURATION_PATH = "/etc/urunc/config.toml";
const MAXIMUM_CONFIGURATION_BYTES = 1024 * 1024;

/**
 * Reads the operator's configuration. Without a file at the default path the defaults apply; a file
 * that is named must exist.
 *
 * @param path undefined: {@linkcode CONFIGURATION_PATH}
 * @throws InvalidConfigurationError naming the key, HostError when the file cannot be read
 */
export async function loadConfiguration(path: string | undefined): Promise<Configuration> {
  const toml = readConfigurationText(path);
  if (toml === undefined) return defaultConfiguration();
  const file = path ?? CONFIGURATION_PATH;
  try {
    return await parseConfiguration(toml);
  } catch (error) {
    if (!(error instanceof InvalidConfigurationError)) throw error;
    // The reader may have called docker, and not know that there is such a file.
    const { remedy } = error.parts;
    const where = `it is in ${file}`;
    throw new InvalidConfigurationError({
      ...error.parts,
      remedy: remedy === undefined ? where : `${remedy}; ${where}`,
    });
  }
}

/**
 * The text of the operator's configuration.
 *
 * @param path undefined: {@linkcode CONFIGURATION_PATH}
 * @returns undefined without a file at the default path
 * @throws HostError when the file cannot be read
 */
export function readConfigurationText(path: string | undefined): string | undefined {
  if (path === undefined && !isThere(CONFIGURATION_PATH)) return undefined;
  const bytes = readBounded(path ?? CONFIGURATION_PATH, MAXIMUM_CONFIGURATION_BYTES, {
    operation: "read configuration",
  });
  return new TextDecoder().decode(bytes);
}
