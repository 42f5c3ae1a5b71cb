import { bindUnix, listen, poll, SOCK_STREAM, socket } from "../../../../ffi/linux.ts";
import { AF_UNIX } from "../../../../ffi/linux.ts";
import { listenDescriptor, type ReadinessLoop } from "../../../../lib/protocol/ttrpc/descriptor.ts";
import {
  type Connection,
  connectUnix,
  type Listener,
} from "../../../../lib/protocol/ttrpc/transport.ts";
import { listenUnix } from "../../../support/ttrpc.ts";
import type { Scope } from "../../../support/scope.ts";
import { PipeListener } from "./_pipe.ts";

/** Something to serve on, and a way to connect to it. */
export interface Transport {
  listener: Listener;
  connect(): Promise<Connection>;
}

/** Every transport there is: what is served must not differ. */
export const TRANSPORTS: { name: string; open(scope: Scope): Promise<Transport> }[] = [
  {
    name: "memory",
    open() {
      const listener = new PipeListener();
      // deno-lint-ignore require-await -- refuses by rejecting, as sockets do
      return Promise.resolve({ listener, connect: async () => listener.connect() });
    },
  },
  {
    name: "Deno's socket",
    async open(scope) {
      const path = `${await scope.temporaryDirectory("ttrpc")}/socket`;
      return { listener: listenUnix(path), connect: () => connectUnix(`unix://${path}`) };
    },
  },
  {
    name: "a socket that listened before",
    async open(scope) {
      const path = `${await scope.temporaryDirectory("ttrpc")}/socket`;
      const fd = socket(AF_UNIX, SOCK_STREAM, 0);
      bindUnix(fd, path);
      listen(fd, 1024);
      return {
        listener: listenDescriptor(fd, new PollingLoop()),
        connect: () => connectUnix(path),
      };
    },
  },
];

/** Looks again and again, so that no thread is left waiting when a test ends. */
class PollingLoop implements ReadinessLoop {
  readonly #wanted = new Map<number, { events: number; handler: (events: number) => void }>();
  #isRunning = false;

  add(fd: number, events: number, handler: (events: number) => void): void {
    if (this.#wanted.has(fd)) throw new Error(`fd ${fd} is in already`);
    this.#wanted.set(fd, { events, handler });
    if (!this.#isRunning) void this.#run();
  }

  modify(fd: number, events: number): void {
    const wanted = this.#wanted.get(fd);
    if (wanted === undefined) throw new Error(`fd ${fd} is not in`);
    wanted.events = events;
  }

  remove(fd: number): void {
    if (!this.#wanted.delete(fd)) throw new Error(`fd ${fd} is not in`);
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#wanted.size > 0) {
      // The numbers of EPOLLIN and EPOLLOUT are those of POLLIN and POLLOUT.
      const requests = Array.from(this.#wanted, ([fd, { events }]) => ({ fd, events }));
      poll(requests, 0).forEach((events, index) => {
        if (events !== 0) this.#wanted.get(requests[index]!.fd)?.handler(events);
      });
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    this.#isRunning = false;
  }
}
