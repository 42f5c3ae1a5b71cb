import {
  close,
  getTerminalSize,
  LinuxError,
  pollAsync,
  POLLIN,
  POLLOUT,
  rawModes,
  read,
  setNonblock,
  setTerminalSize,
  SOCK_STREAM,
  socketpair,
  tcgetattr,
  tcsetattr,
  type TerminalModes,
  unlessItWaits,
  write,
} from "../../ffi/linux.ts";

const [STDIN, STDOUT, STDERR] = [0, 1, 2] as const;

/** PIPE_BUF, linux/limits.h: a pipe that poll calls ready takes so much without blocking. Bytes. */
const CHUNK = 4096;

/**
 * Joins the caller's terminal with a container's: what is typed goes in as it is, what comes out is
 * written as it is, a change of size is passed on. Where standard input is not a terminal, its bytes go
 * in all the same.
 *
 * Between its making and `restore` the caller's terminal is raw. Only SIGKILL leaves it so, after
 * which `stty sane` brings it back, as after any program that edits a screen.
 */
export class TerminalRelay {
  /** All of the output has been written: every user of the container's terminal closed it. */
  readonly ended: Promise<void>;
  readonly #master: number;
  readonly #modes: TerminalModes | undefined;
  #closed = false;

  /**
   * @param master of the container's terminal; the relay closes it
   * @throws LinuxError
   */
  constructor(master: number) {
    this.#master = master;
    // The only copy: no other process is affected.
    setNonblock(master, true);
    this.#modes = tcgetattr(STDIN);
    Deno.addSignalListener("SIGWINCH", this.#resize);
    Deno.addSignalListener("SIGCONT", this.#resume);
    this.#resume();
    this.ended = this.#relay();
  }

  /** Gives the caller's terminal its own modes back. */
  restore(): void {
    Deno.removeSignalListener("SIGWINCH", this.#resize);
    Deno.removeSignalListener("SIGCONT", this.#resume);
    if (this.#modes === undefined) return;
    try {
      tcsetattr(STDIN, this.#modes);
    } catch (error) {
      // It was hung up meanwhile: nothing to restore.
      if (!isOtherSideGone(error)) throw error;
    }
  }

  /** Also after a stop: the shell has had the terminal, with its own modes. */
  readonly #resume = (): void => {
    if (this.#modes !== undefined) tcsetattr(STDIN, rawModes(this.#modes, true));
    this.#resize();
  };

  readonly #resize = (): void => {
    const terminal = [STDIN, STDOUT, STDERR].find((fd) => tcgetattr(fd) !== undefined);
    if (terminal === undefined || this.#closed) return;
    const size = getTerminalSize(terminal);
    // One that does not know its size must not undo config.json's.
    if (size.rows > 0 && size.columns > 0) setTerminalSize(this.#master, size);
  };

  async #relay(): Promise<void> {
    // When the output ends, closing this socket wakes the reader of the input.
    const [stopper, stopped] = socketpair(SOCK_STREAM);
    const input = passInput(this.#master, stopped);
    try {
      await passOutput(this.#master);
    } finally {
      close(stopper);
      await input;
      close(stopped);
      // Where standard output went away first, this hangs up the container's terminal.
      this.#closed = true;
      close(this.#master);
    }
  }
}

/** Until every user of the terminal has closed it, or the output has no reader any more. */
async function passOutput(master: number): Promise<void> {
  const buffer = new Uint8Array(CHUNK);
  try {
    for (;;) {
      await pollAsync([{ fd: master, events: POLLIN }], -1);
      // EIO at the end: what was written before has been read by then (pty(7) is silent on it).
      const count = unlessItWaits(() => read(master, buffer));
      if (count === 0) return;
      if (count !== undefined) await writeWhole(STDOUT, buffer.subarray(0, count));
    }
  } catch (error) {
    if (!isOtherSideGone(error)) throw error;
  }
}

async function writeWhole(fd: number, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    // A reader that does not read must not keep signals from being heard.
    await pollAsync([{ fd, events: POLLOUT }], -1);
    done += unlessItWaits(() => write(fd, bytes.subarray(done))) ?? 0;
  }
}

/** Until standard input ends, or `stopped` does. */
async function passInput(master: number, stopped: number): Promise<void> {
  const buffer = new Uint8Array(CHUNK);
  const end = { fd: stopped, events: POLLIN };
  try {
    for (;;) {
      const [input, ended] = await pollAsync([{ fd: STDIN, events: POLLIN }, end], -1);
      if (ended !== 0) return;
      if (input === 0) continue;
      const count = unlessItWaits(() => read(STDIN, buffer)) ?? 0;
      // The guest's terminal stays open: there is output to come.
      if (count === 0) return;
      for (let done = 0; done < count;) {
        const [, ended] = await pollAsync([{ fd: master, events: POLLOUT }, end], -1);
        if (ended !== 0) return;
        done += unlessItWaits(() => write(master, buffer.subarray(done, count))) ?? 0;
      }
    }
  } catch (error) {
    if (!isOtherSideGone(error)) throw error;
  }
}

/** The other side of a pipe or terminal is gone, or the descriptor was not open to begin with. */
function isOtherSideGone(error: unknown): boolean {
  return error instanceof LinuxError && ["EIO", "EPIPE", "EBADF"].includes(error.code);
}
