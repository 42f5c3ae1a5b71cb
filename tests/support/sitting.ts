/** A person who sits at a terminal and runs the fixture guest's `echo` with `run -it`. */
import assert from "node:assert/strict";
import { isAlive, waitFor } from "./process.ts";
import { inspectTerminal, Terminal } from "./pty.ts";
import { Scope } from "./scope.ts";

/** What is run, and how long it may take. */
export interface SittingOptions {
  /** `docker run -it … guest echo`. */
  command: string[];
  env?: Record<string, string>;
  /** The monitor's process, once the guest is up. */
  pid: () => Promise<number>;
  /** Until the guest says its first word. */
  bootSeconds: number;
  /** What ends a line on the person's terminal, `\r\n` by default. */
  lineEnd?: string;
}

/** All that the guest says when it is typed to and asked to exit with 5. */
export const SEEN = "echo\r\none\x03two\r\n";

/**
 * Podman sends SIGWINCH for a new size as well, by `urunc kill`: on a slow machine after the guest has
 * ended. What the runtime says of that it shows on the terminal, runc's words like ours.
 */
const LATE_SIGNAL =
  /^time="[^"]*" level=error msg="kill container \w+: container not running"\r?\n/m;

/**
 * Sits at it: sizes arrive in the container, keys in the guest, lines end right, nothing is doubled,
 * and the terminal is as before afterwards. Fails the test where it is not so.
 *
 * @returns the command's exit code
 */
export async function sitAtEcho(options: SittingOptions): Promise<number | undefined> {
  await using scope = new Scope();
  const { lineEnd = "\r\n" } = options;
  const terminal = new Terminal(scope);
  const { master } = terminal;
  const before = terminal.modes();
  const { ended } = terminal.spawn(scope, options.command, { env: options.env });
  await master.waitForText(`echo${lineEnd}`, options.bootSeconds);
  const pid = await options.pid();
  // Docker's client tells the size once the container runs.
  await waitForSize(pid, 24, 80);
  master.resize(43, 132);
  await waitForSize(pid, 43, 132);
  // Ctrl-C is the guest's to answer: this one takes it for a part of the line.
  await master.type("one\x03two\r");
  await master.waitForText(`one\x03two${lineEnd}`);
  assert.ok(isAlive(pid));
  await master.type("exit 5\r");
  const { exitCode } = await ended;
  assert.equal(master.text().replace(LATE_SIGNAL, ""), SEEN.replaceAll("\r\n", lineEnd));
  assert.equal(terminal.modes(), before);
  return exitCode;
}

/** Waits until the terminal of a container's process has a size. */
export async function waitForSize(pid: number, rows: number, columns: number): Promise<void> {
  await waitFor(() => {
    const size = inspectTerminal(pid)?.size;
    return size?.rows === rows && size.columns === columns;
  }, { timeoutSeconds: 20, what: `the terminal of ${pid} to have ${rows} rows` });
}
