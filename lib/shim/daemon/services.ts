import type { Configuration } from "../../config/types.ts";
import type { Observer } from "../../launch/observer.ts";
import type { Reactor } from "./reactor.ts";
import type { Reaper } from "./reaper.ts";
import type { ShimLog } from "./log.ts";
import type { WarmInit } from "./warm_init.ts";

/** What all tasks of a shim work with. */
export interface ShimServices {
  /** containerd's. */
  namespace: string;
  observer: Observer;
  reactor: Reactor;
  reaper: Reaper;
  log: ShimLog;
  inits: WarmInit;
  /** Serves a whole namespace of containerd: there is always a next task. */
  shared: boolean;
  /** @param path undefined: the usual place */
  configuration(path: string | undefined): Promise<Configuration>;
}
