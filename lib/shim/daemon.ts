import { PR_SET_CHILD_SUBREAPER, prctl } from "../../ffi/linux.ts";
import { Channel } from "../launch/channel.ts";
import type { Observer } from "../launch/observer.ts";
import type { ShimArguments } from "./arguments.ts";
import { ConfigurationCache } from "./configuration_cache.ts";
import { ShimLog } from "./log.ts";
import { Reactor } from "./reactor.ts";
import { Reaper } from "./reaper.ts";
import { TaskService } from "./service.ts";
import type { ShimServices } from "./services.ts";
import { joinShimCgroup } from "./shim_cgroup.ts";
import { INIT_FD, LISTEN_FD, OPTIONS_FD } from "./start.ts";
import { taskFactory } from "./task_factory.ts";
import { listenDescriptor } from "./ttrpc/descriptor.ts";
import { serve } from "./ttrpc/server.ts";
import { WarmInit } from "./warm_init.ts";

/** Both versions have the same methods and messages. */
const TASK_SERVICES = ["containerd.task.v2.Task", "containerd.task.v3.Task"];

/** oom_score_adj(5) goes no higher. */
const MAXIMUM_OOM_SCORE = 1000;

/**
 * What `start` leaves running: serves containers until the last one is gone and containerd wants it to
 * end. It outlives containerd.
 *
 * @param args of the daemon; the working directory is the bundle of the first container
 */
export async function runStartedDaemon(args: ShimArguments, observer: Observer): Promise<void> {
  const log = new ShimLog(`${Deno.cwd()}/log`, args.debug);
  const reactor = new Reactor();
  const reaper = new Reaper(reactor);
  const warm = new WarmInit(observer, reaper);
  const configurations = new ConfigurationCache();
  const publisher = makePublisher(args, log);
  const services: ShimServices = {
    namespace: args.namespace,
    observer,
    reactor,
    reaper,
    log,
    spawnInit: (pidNamespace, _observer, terminal) => warm.take(pidNamespace, terminal),
    configuration: (path) => configurations.get(path),
  };

  let end!: () => void;
  const ended = new Promise<void>((resolve) => end = resolve);
  const service = new TaskService({
    tasks: taskFactory(services),
    publish: publisher.publish,
    shutdown: end,
  });
  const handlers = service.handlers();
  const server = serve(
    listenDescriptor(LISTEN_FD, reactor),
    Object.fromEntries(TASK_SERVICES.map((name) => [name, handlers])),
    { log: (text) => log.warning(text) },
  );
  becomeDaemon();
  if (args.initPid === undefined) warm.prepare();
  else warm.adopt({ pid: args.initPid, channel: new Channel(INIT_FD) });
  void joinShimCgroup(OPTIONS_FD, args, log);
  await ended;
  if (args.socket !== undefined) removeIfThere(args.socket);
  await publisher.flush();
  await server.close();
}

function becomeDaemon(): void {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  // containerd removes the bundle.
  Deno.chdir("/");
  // Inherited from containerd, which is to outlive its shims.
  const score = Number(Deno.readTextFileSync("/proc/self/oom_score_adj"));
  const higher = Math.min(score + 1, MAXIMUM_OOM_SCORE);
  Deno.writeTextFileSync("/proc/self/oom_score_adj", String(higher));
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** TEMPORARY until events */
function makePublisher(_args: ShimArguments, _log: ShimLog) {
  return { publish() {}, flush: () => Promise.resolve() };
}
