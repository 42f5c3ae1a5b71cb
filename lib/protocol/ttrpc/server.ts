import type { Services } from "./services.ts";
import { ServerConnection } from "./server_connection.ts";
import { delay } from "../../os/timer.ts";
import type { Listener } from "./transport.ts";

export interface ServerOptions {
  /** Receives errors outside of any request. */
  log?: (text: string) => void;
}

export interface Server {
  readonly connectionCount: number;
  /** Resolves when it neither listens nor is connected any more. */
  readonly finished: Promise<void>;
  /**
   * Ends it: no new connections and requests. Answers that are ready are still sent; requests under way
   * are aborted.
   *
   * @param graceMs how long a caller has to take its answers, in milliseconds
   */
  close(graceMs?: number): Promise<void>;
}

/** How long to wait when a connection cannot be accepted: no descriptors are free, say. */
const ACCEPT_RETRY_MS = 50;

/**
 * Serves ttrpc: any number of connections, on each any number of requests at once, answered in the
 * order in which they are done. One request never waits for another.
 *
 * @param listener is the server's from now on
 */
export function serve(
  listener: Listener,
  services: Services,
  { log = () => {} }: ServerOptions = {},
): Server {
  const connections = new Set<ServerConnection>();
  let isClosing = false;

  const run = (connection: ServerConnection) => {
    connections.add(connection);
    return connection.run().finally(() => connections.delete(connection));
  };
  const listen = async () => {
    const running = new Set<Promise<void>>();
    while (!isClosing) {
      try {
        const connection = new ServerConnection(await listener.accept(), services, log);
        const done = run(connection).finally(() => running.delete(done));
        running.add(done);
      } catch (error) {
        if (isClosing || error instanceof Deno.errors.BadResource) break;
        log(`accept a connection: ${error}`);
        await delay(ACCEPT_RETRY_MS);
      }
    }
    await Promise.all(running);
  };
  const finished = listen();

  return {
    get connectionCount() {
      return connections.size;
    },
    finished,
    async close(graceMs = 1000) {
      if (!isClosing) {
        isClosing = true;
        listener.close();
      }
      await Promise.all(Array.from(connections, (connection) => connection.close(graceMs)));
      await finished;
    },
  };
}
