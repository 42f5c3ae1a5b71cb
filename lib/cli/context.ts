import type { Configuration } from "../config/types.ts";
import { Store } from "../container/store.ts";
import { loadConfiguration } from "../host/configuration.ts";
import { UnsupportedError } from "../errors.ts";
import type { Observer } from "../launch/observer.ts";
import { resolvePath } from "../path.ts";
import type { GlobalOptions } from "./commands.ts";
import { Logger } from "./log.ts";

/** What every verb works with, made once from the global options. */
export interface Context {
  store: Store;
  log: Logger;
  observer: Observer;
  /** Reads the operator's configuration; only verbs that make a container do. */
  configuration(): Promise<Configuration>;
}

/**
 * @throws UnsupportedError for a global option that this version does not have
 */
export function makeContext(options: GlobalOptions, log: Logger, observer: Observer): Context {
  if (options.systemdCgroup) {
    throw new UnsupportedError({
      operation: "parse command line",
      subject: "--systemd-cgroup",
      reason: "this version makes cgroups through the cgroup file system only",
      remedy: "configure the caller's cgroup driver or manager as cgroupfs",
    });
  }
  return {
    store: new Store(resolvePath(Deno.cwd(), options.root)),
    log,
    observer,
    configuration: () => loadConfiguration(options.config),
  };
}
