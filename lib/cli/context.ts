import type { Configuration } from "../config/types.ts";
import { Store } from "../container/store.ts";
import { loadConfiguration } from "../host/configuration.ts";
import type { Observer } from "../launch/observer.ts";
import { resolvePath } from "../os/path.ts";
import type { GlobalOptions } from "./parser/commands.ts";
import { Logger } from "../log.ts";

/** What every verb works with, made once from the global options. */
export interface Context {
  store: Store;
  log: Logger;
  observer: Observer;
  /** The arguments after the program's name, for the OCI runtime. */
  commandLine: string[];
  /** Let systemd make the cgroup of a container. */
  systemdCgroup: boolean;
  /** Reads the operator's configuration; only verbs that make a container do. */
  configuration(): Promise<Configuration>;
}

export function makeContext(
  options: GlobalOptions,
  log: Logger,
  observer: Observer,
  commandLine: string[],
): Context {
  return {
    commandLine,
    store: new Store(resolvePath(Deno.cwd(), options.root)),
    log,
    observer,
    systemdCgroup: options.systemdCgroup,
    configuration: () => loadConfiguration(options.config),
  };
}
