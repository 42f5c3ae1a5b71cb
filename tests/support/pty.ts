/** Terminals as people and callers have them: one to sit at, and a socket that takes a container's. */
import {
  accept,
  AF_UNIX,
  bindUnix,
  close,
  type ExitStatus,
  getTerminalSize,
  kill,
  LinuxError,
  listen,
  O_NOCTTY,
  O_NONBLOCK,
  O_RDWR,
  open,
  openPrivatePty,
  pollAsync,
  POLLIN,
  POLLOUT,
  read,
  receiveDescriptor,
  setNonblock,
  setTerminalSize,
  SIGKILL,
  SOCK_STREAM,
  socket,
  socketpair,
  spawn,
  tcgetattr,
  tcsetattr,
  type TerminalModes,
  type TerminalSize,
  waitpidAsync,
  write,
} from "../../ffi/linux.ts";
import { waitFor } from "./process.ts";
import type { Scope } from "./scope.ts";
import { findProgram } from "./skip.ts";

/** The master of a terminal: what comes out of it is collected in the background. */
export class Master {
  /** Fulfilled when every user of the terminal has closed it; not before `close` otherwise. */
  readonly ended: Promise<void>;
  readonly fd: number;
  #chunks: Uint8Array[] = [];
  #length = 0;
  #closed = false;
  readonly #stop: number;
  readonly #stopped: number;

  /** @param fd belongs to this from now on, and is closed at the end of the scope */
  constructor(scope: Scope, fd: number) {
    this.fd = fd;
    setNonblock(fd, true);
    [this.#stop, this.#stopped] = socketpair(SOCK_STREAM);
    this.ended = this.#collect();
    scope.defer("close a terminal's master", () => this.close());
  }

  /** Hangs the terminal up. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    close(this.#stop);
    await this.ended;
    close(this.#stopped);
    close(this.fd);
  }

  /** All that came until now, in bytes and as text. */
  bytes(): Uint8Array {
    const all = new Uint8Array(this.#length);
    let at = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }

  text(): string {
    return new TextDecoder().decode(this.bytes());
  }

  /** How many bytes came until now. */
  get length(): number {
    return this.#length;
  }

  /** Waits until this has come. */
  async waitForText(text: string, timeoutSeconds = 20): Promise<string> {
    return await waitFor(() => this.text().includes(text) ? this.text() : undefined, {
      timeoutSeconds,
      what: `${JSON.stringify(text)} on the terminal`,
    }).catch((error) => {
      throw new Error(`${error.message}; there is ${JSON.stringify(this.text())}`);
    });
  }

  /** Types this; waits for as long as nobody reads it. */
  async type(what: string | Uint8Array): Promise<void> {
    const bytes = typeof what === "string" ? new TextEncoder().encode(what) : what;
    for (let done = 0; done < bytes.length;) {
      await pollAsync([{ fd: this.fd, events: POLLOUT }], 20_000);
      done += orZero(() => write(this.fd, bytes.subarray(done, done + 4096)));
    }
  }

  size(): TerminalSize {
    return getTerminalSize(this.fd);
  }

  resize(rows: number, columns: number): void {
    setTerminalSize(this.fd, { rows, columns });
  }

  async #collect(): Promise<void> {
    const buffer = new Uint8Array(65536);
    for (;;) {
      const [, stopped] = await pollAsync(
        [{ fd: this.fd, events: POLLIN }, { fd: this.#stopped, events: POLLIN }],
        -1,
      );
      if (stopped !== 0) return;
      try {
        const count = orZero(() => read(this.fd, buffer));
        this.#chunks.push(buffer.slice(0, count));
        this.#length += count;
      } catch (error) {
        if (error instanceof LinuxError && error.code === "EIO") return;
        throw error;
      }
    }
  }
}

/** A terminal with a program on it, as a person's shell starts it. */
export class Terminal {
  readonly master: Master;
  readonly #slave: number;
  readonly #sane: TerminalModes;

  constructor(scope: Scope) {
    const { master, slave } = openPrivatePty();
    this.#slave = slave;
    this.#sane = tcgetattr(slave)!;
    scope.defer("close a terminal", () => close(slave));
    this.master = new Master(scope, master);
    this.master.resize(24, 80);
  }

  /** Its modes, for comparison. */
  modes(): string {
    return [...tcgetattr(this.#slave) ?? []].join(",");
  }

  /** Gives it the modes of a shell's prompt, as a shell does that gets it back. */
  makeSane(): void {
    tcsetattr(this.#slave, this.#sane);
  }

  /**
   * Starts a program in a session of its own, of which this is the controlling terminal. The scope
   * kills it when it is still there.
   *
   * @param fds files in place of the terminal
   */
  spawn(
    scope: Scope,
    argv: string[],
    options: { env?: Record<string, string>; fds?: Partial<Record<0 | 1 | 2, number>> } = {},
  ): { pid: number; ended: Promise<ExitStatus> } {
    const program = findProgram("setsid");
    if (program === undefined) throw new Error("setsid is not installed");
    const env = { PATH: Deno.env.get("PATH") ?? "", TERM: "xterm", ...options.env };
    // setsid takes the terminal that is its standard input; the shell then gives the files away.
    const files = Object.entries(options.fds ?? {});
    const redirect = files.map(([fd], index) => `${fd}<&${5 + index} ${5 + index}<&-`).join(" ");
    const command = files.length === 0
      ? argv
      : ["sh", "-c", `exec "$@" ${redirect}`, "sh", ...argv];
    const pid = spawn({
      path: program,
      argv: ["setsid", "--ctty", ...command],
      env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      fds: [
        ...[0, 1, 2].map((to) => ({ from: this.#slave, to })),
        ...files.map(([, from], index) => ({ from, to: 5 + index })),
      ],
    });
    let isOver = false;
    const ended = waitpidAsync(pid).finally(() => isOver = true);
    scope.defer(`end ${argv[0]}`, async () => {
      if (!isOver) kill(pid, SIGKILL);
      await ended;
    });
    return { pid, ended };
  }
}

/** A socket that takes one terminal, as conmon's and containerd's shim's do. */
export class ConsoleSocket {
  readonly path: string;
  readonly #fd: number;

  private constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  static async listen(scope: Scope): Promise<ConsoleSocket> {
    const path = `${await scope.temporaryDirectory("console")}/console.sock`;
    const fd = socket(AF_UNIX, SOCK_STREAM, 0);
    scope.defer("close the console socket", () => close(fd));
    bindUnix(fd, path);
    listen(fd, 1);
    return new ConsoleSocket(path, fd);
  }

  /** The terminal that was sent, and what its message said. Throws when none comes. */
  async take(scope: Scope): Promise<{ master: Master; name: string }> {
    const [ready] = await pollAsync([{ fd: this.#fd, events: POLLIN }], 20_000);
    if (ready === 0) throw new Error("nobody connected to the console socket");
    const connection = accept(this.#fd);
    try {
      const buffer = new Uint8Array(4096);
      const { count, descriptor } = receiveDescriptor(connection, buffer, 0);
      if (descriptor === undefined) throw new Error("no descriptor came");
      const name = new TextDecoder().decode(buffer.subarray(0, count));
      return { master: new Master(scope, descriptor), name };
    } finally {
      close(connection);
    }
  }

  /** True when somebody connected who was not yet taken in. */
  async isAsked(): Promise<boolean> {
    const [ready] = await pollAsync([{ fd: this.#fd, events: POLLIN }], 0);
    return ready !== 0;
  }
}

/** Looks at the terminal that a process has as a standard file, without disturbing it. */
export function inspectTerminal(
  pid: number,
): { size: TerminalSize; modes: Uint8Array } | undefined {
  const fd = open(`/proc/${pid}/fd/0`, O_RDWR | O_NOCTTY | O_NONBLOCK);
  try {
    const modes = tcgetattr(fd);
    return modes === undefined ? undefined : { size: getTerminalSize(fd), modes };
  } finally {
    close(fd);
  }
}

function orZero(call: () => number): number {
  try {
    return call();
  } catch (error) {
    if (error instanceof LinuxError && error.code === "EAGAIN") return 0;
    throw error;
  }
}
