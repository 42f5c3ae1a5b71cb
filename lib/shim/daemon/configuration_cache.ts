import type { Configuration } from "../../config/types.ts";
import { CONFIGURATION_PATH, loadConfiguration } from "../../host/configuration.ts";

/** A file as it was when it was read. */
interface Cached {
  stamp: string;
  configuration: Promise<Configuration>;
}

/** The operator's configuration, read again when the file has changed: a shim may live for long. */
export class ConfigurationCache {
  readonly #cached = new Map<string, Cached>();

  /**
   * @param path undefined: the usual place
   * @throws as `loadConfiguration`
   */
  get(path: string | undefined): Promise<Configuration> {
    const file = path ?? CONFIGURATION_PATH;
    const stamp = stampOf(file);
    let cached = this.#cached.get(file);
    if (cached?.stamp !== stamp) {
      cached = { stamp, configuration: loadConfiguration(path) };
      this.#cached.set(file, cached);
    }
    return cached.configuration;
  }
}

function stampOf(file: string): string {
  try {
    const { dev, ino, size, mtime } = Deno.statSync(file);
    return `${dev} ${ino} ${size} ${mtime?.getTime()}`;
  } catch {
    return "absent";
  }
}
