import {
  accept,
  AF_UNIX,
  bindUnix,
  close,
  listen,
  poll,
  POLLIN,
  receiveDescriptor,
  SOCK_STREAM,
  socket,
} from "../../../ffi/linux.ts";
import { HostError } from "../../errors.ts";
import { SOCKET_DIRECTORY } from "../command/group.ts";

/** Longer than what runtimes call the master in the message that carries it. Bytes. */
const NAME_SIZE = 4096;

let counter = 0;

/** A socket on which an OCI runtime sends the master of a container's terminal. */
export class ConsoleSocket implements Disposable {
  readonly path = `${SOCKET_DIRECTORY}/pty-${Deno.pid}-${counter++}`;
  readonly #fd = socket(AF_UNIX, SOCK_STREAM, 0);

  /** Throws LinuxError. */
  constructor() {
    const before = Deno.umask(0o177);
    try {
      bindUnix(this.#fd, this.path);
      listen(this.#fd, 1);
    } finally {
      Deno.umask(before);
    }
  }

  /**
   * What the runtime sent before it ended.
   *
   * @throws HostError when that is nothing
   */
  take(): number {
    const [events] = poll([{ fd: this.#fd, events: POLLIN }], 0);
    if (events !== 0) {
      const connection = accept(this.#fd);
      try {
        const { descriptor } = receiveDescriptor(connection, new Uint8Array(NAME_SIZE), 0);
        if (descriptor !== undefined) return descriptor;
      } finally {
        close(connection);
      }
    }
    throw new HostError({ operation: "take the terminal", reason: "the runtime sent none" });
  }

  [Symbol.dispose](): void {
    close(this.#fd);
    Deno.removeSync(this.path);
  }
}
