import type { Configuration } from "../config/types.ts";
import type { Observer } from "../launch/observer.ts";
import type { spawnInit } from "../launch/spawn.ts";
import type { Reactor } from "./reactor.ts";
import type { Reaper } from "./reaper.ts";
import type { ShimLog } from "./log.ts";

/** What all tasks of a shim work with. */
export interface ShimServices {
  /** containerd's. */
  namespace: string;
  observer: Observer;
  reactor: Reactor;
  reaper: Reaper;
  log: ShimLog;
  spawnInit: typeof spawnInit;
  /** @param path undefined: the usual place */
  configuration(path: string | undefined): Promise<Configuration>;
}
