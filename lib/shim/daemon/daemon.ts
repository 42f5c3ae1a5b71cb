import { PR_SET_CHILD_SUBREAPER, prctl } from "../../../ffi/linux.ts";
import type { Observer } from "../../launch/observer.ts";
import type { ShimArguments } from "../command/arguments.ts";
import { ConfigurationCache } from "./configuration_cache.ts";
import { binaryForwarder, type Forwarder, ttrpcForwarder } from "../events/forward.ts";
import { Publisher } from "../events/publisher.ts";
import { Lifetime } from "./lifetime.ts";
import { ShimLog } from "./log.ts";
import { listen, timed } from "../../watch.ts";
import { Reactor } from "./reactor.ts";
import { Reaper } from "./reaper.ts";
import { TaskService } from "../service.ts";
import type { ShimServices } from "./services.ts";
import { joinShimCgroup } from "./shim_cgroup.ts";
import { LISTEN_FD, OPTIONS_FD } from "../command/start.ts";
import { ConnectRequest } from "../../protocol/containerd/messages.ts";
import { taskFactory } from "../task/factory.ts";
import { IdleGc } from "./idle_gc.ts";
import { listenDescriptor } from "../../protocol/ttrpc/descriptor.ts";
import { serve } from "../../protocol/ttrpc/server.ts";
import type { Handler } from "../../protocol/ttrpc/services.ts";
import { WarmInit } from "./warm_init.ts";

/** Both versions have the same methods and messages. */
const TASK_SERVICES = ["containerd.task.v2.Task", "containerd.task.v3.Task"];

/** How long containerd may take for the last events. By then it has what it waits for. */
const FLUSH_MILLISECONDS = 2000;

/** oom_score_adj(5) goes no higher. */
const MAXIMUM_OOM_SCORE = 1000;

/**
 * What `start` leaves running: serves containers until the last one is gone and containerd asks it to
 * end. It outlives containerd.
 *
 * @param args of the daemon; the working directory is the bundle of the first container
 */
export async function runStartedDaemon(args: ShimArguments, observer: Observer): Promise<void> {
  const log = new ShimLog(`${Deno.cwd()}/log`, args.debug);
  if (args.debug) listen((message, fields) => log.debug(message, fields));
  const reactor = new Reactor((error) => log.error("serve a descriptor", error));
  const reaper = new Reaper(reactor);
  const inits = new WarmInit(observer, reaper);
  const configurations = new ConfigurationCache();
  const publisher = makePublisher(args, reaper, log);
  const services: ShimServices = {
    namespace: args.namespace,
    observer,
    reactor,
    reaper,
    log,
    inits,
    shared: args.shared,
    configuration: (path) => configurations.get(path),
  };

  const lifetime = new Lifetime({
    shared: args.shared,
    socket: args.socket,
    isIdle: () => service.isIdle,
  });
  const service = new TaskService({
    tasks: taskFactory(services),
    publisher,
    log,
    shutdown: () => lifetime.shutdown(),
  });
  const idleGc = new IdleGc();
  const handlers = mapValues(service.handlers(), (handler, method): Handler => {
    const watched = args.debug ? logRequests(method, handler) : handler;
    return (payload, context) => {
      context.afterAnswer(() => idleGc.requestWasAnswered());
      return watched(payload, context);
    };
  });
  const server = serve(
    listenDescriptor(LISTEN_FD, reactor),
    Object.fromEntries(TASK_SERVICES.map((name) => [name, handlers])),
    { log: (text) => log.warning(text) },
  );
  becomeDaemon();
  inits.prepare();
  void joinShimCgroup(OPTIONS_FD, args, log);
  await lifetime.ended;
  if (await publisher.flush(FLUSH_MILLISECONDS) > 0) log.warning("containerd takes no events");
  publisher.close();
  await server.close();
}

/** Nearly all that containerd waits for; `Wait` itself lasts as long as the container. */
function logRequests(method: string, handler: Handler): Handler {
  if (method === "Wait") return handler;
  return (payload, context) => {
    // The field of this message is the first in all of them.
    const { id } = ConnectRequest.decode(payload);
    return timed(`request ${method}`, () => handler(payload, context), { id });
  };
}

function mapValues<V>(
  record: Record<string, V>,
  map: (value: V, key: string) => V,
): Record<string, V> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value, key)]));
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

/** Forwards events to containerd, in the way that it asked for. */
function makePublisher(args: ShimArguments, reaper: Reaper, log: ShimLog): Publisher {
  return new Publisher({
    forwarder: makeForwarder(args, reaper),
    namespace: args.namespace,
    log: (text) => log.warning(text),
  });
}

function makeForwarder(args: ShimArguments, reaper: Reaper): Forwarder {
  const address = Deno.env.get("TTRPC_ADDRESS");
  if (address) return ttrpcForwarder(address);
  const { publishBinary } = args;
  if (publishBinary === undefined) return { forward: () => Promise.resolve(), close() {} };
  const forwarder = binaryForwarder(publishBinary, args.address);
  return {
    async forward(envelope) {
      // It starts a child, for which Deno waits.
      using _hold = reaper.hold();
      await forwarder.forward(envelope);
    },
    close: () => forwarder.close(),
  };
}
