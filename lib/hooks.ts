import {
  close,
  lseek,
  memfdCreate,
  MFD_CLOEXEC,
  pidfdOpen,
  poll,
  pollAsync,
  POLLIN,
  read,
  SEEK_END,
  SEEK_SET,
  waitpid,
  writeAll,
} from "../ffi/linux.ts";
import { errorMessage, UruncError } from "./errors.ts";
import { spawnProgram } from "./os/programs.ts";
import { debug, since } from "./watch.ts";
import type { State } from "./oci/state.ts";
import type { Hook, HookName } from "./oci/types.ts";

/** As much of a failed hook's last output as goes into the error. Bytes. */
const OUTPUT_TAIL = 2048;

/** How to run hooks. */
export interface HookOptions {
  name: HookName;
}

/**
 * Runs hooks one after the other, in the namespaces of the calling thread, with the state on their
 * standard input. Blocks the thread: init runs hooks after its `unshare`, which only synchronous
 * calls see.
 *
 * @throws UruncError naming the hook, when one fails or exceeds its timeout; those after it are not
 *   run
 * @see https://github.com/opencontainers/runtime-spec/blob/v1.2.0/config.md#posix-platform-hooks
 */
export function runHooks(hooks: Hook[], state: State, { name }: HookOptions): void {
  const input = new TextEncoder().encode(JSON.stringify(state));
  for (const hook of hooks) {
    try {
      runHook(new HookRun(name, hook, input));
    } catch (error) {
      throw hookError(name, hook, error);
    }
  }
}

/** As `runHooks`, without blocking the thread. */
export async function runHooksAsync(
  hooks: Hook[],
  state: State,
  { name }: HookOptions,
): Promise<void> {
  const input = new TextEncoder().encode(JSON.stringify(state));
  for (const hook of hooks) {
    try {
      const run = new HookRun(name, hook, input);
      try {
        const milliseconds = hook.timeout === undefined
          ? -1
          : Math.min(hook.timeout * 1000, LONGEST_WAIT);
        const [events] = await pollAsync([{ fd: run.pidfd, events: POLLIN }], milliseconds);
        run.finish(events === 0);
      } finally {
        run.close();
      }
    } catch (error) {
      throw hookError(name, hook, error);
    }
  }
}

/**
 * Runs every one of the hooks, also after one has failed: as the specification requires for poststart
 * and poststop.
 *
 * @returns what failed, to be logged
 */
export async function runEveryHook(
  hooks: Hook[],
  state: State,
  options: HookOptions,
): Promise<string[]> {
  const failures: string[] = [];
  for (const hook of hooks) {
    try {
      await runHooksAsync([hook], state, options);
    } catch (error) {
      failures.push(errorMessage(error));
    }
  }
  return failures;
}

function hookError(name: HookName, hook: Hook, error: unknown): UruncError {
  return new UruncError({
    operation: `run ${name} hook`,
    subject: hook.path,
    reason: errorMessage(error),
    cause: error,
  });
}

/** Throws an Error whose message is a reason. Blocks the thread. */
function runHook(run: HookRun): void {
  try {
    const { timeout } = run.hook;
    run.finish(timeout !== undefined && !endsWithin(run.pidfd, timeout * 1000));
  } finally {
    run.close();
  }
}

/** A hook that was started. */
class HookRun {
  readonly pidfd: number;
  readonly hook: Hook;
  /** For a log: nothing of its environment and arguments. */
  readonly #title: string;
  readonly #began = performance.now();
  readonly #pid: number;
  // Files in memory rather than pipes: no side ever waits for the other to read, and a daemon that
  // the hook leaves behind does not keep us.
  readonly #stdin = memfdCreate("hook-stdin", MFD_CLOEXEC);
  readonly #output = memfdCreate("hook-output", MFD_CLOEXEC);

  /** Throws LinuxError. */
  constructor(name: HookName, hook: Hook, input: Uint8Array) {
    this.hook = hook;
    this.#title = `${name} hook ${hook.path}`;
    try {
      writeAll(this.#stdin, input);
      // The child shares our file offset.
      lseek(this.#stdin, 0, SEEK_SET);
      this.#pid = spawnProgram({
        path: hook.path,
        argv: hook.args.length === 0 ? [hook.path] : hook.args,
        env: hook.env,
        fds: [
          { from: this.#stdin, to: 0 },
          { from: this.#output, to: 1 },
          { from: this.#output, to: 2 },
        ],
        // A session of its own, so that a timeout ends the hook's children with it.
        setsid: true,
      });
      this.pidfd = pidfdOpen(this.#pid);
      debug(`${this.#title} started`, { pid: this.#pid });
    } catch (error) {
      this.#closeFiles();
      throw error;
    }
  }

  /**
   * Waits for its end, which has come or is brought about.
   *
   * @throws Error whose message is a reason, unless it has succeeded
   */
  finish(timedOut: boolean): void {
    // The whole process group, which the hook leads: ffi's kill takes single processes only.
    if (timedOut) Deno.kill(-this.#pid, "SIGKILL");
    const end = waitpid(this.#pid, 0);
    const hookEnd = { exitCode: end?.exitCode, signal: end?.signal, timedOut };
    debug(`${this.#title} exited`, {
      ms: since(this.#began),
      exit: end?.exitCode,
      signal: end?.signal,
    });
    if (hookEnd.exitCode === 0) return;
    throw new Error(`${describeEnd(hookEnd, this.hook)}${quoteTail(this.#output)}`);
  }

  close(): void {
    close(this.pidfd);
    this.#closeFiles();
  }

  #closeFiles(): void {
    close(this.#stdin);
    close(this.#output);
  }
}

interface HookEnd {
  exitCode?: number;
  signal?: number;
  timedOut: boolean;
}

function endsWithin(pidfd: number, milliseconds: number): boolean {
  const deadline = performance.now() + milliseconds;
  for (;;) {
    const left = Math.ceil(deadline - performance.now());
    // poll(2) takes an int; a longer wait is done in pieces.
    const slice = Math.min(Math.max(left, 0), LONGEST_WAIT);
    const [events] = poll([{ fd: pidfd, events: POLLIN }], slice);
    if (events !== 0) return true;
    if (left <= 0) return false;
  }
}

/** Milliseconds that poll(2) takes at most. */
const LONGEST_WAIT = 0x7fffffff;

function describeEnd(end: HookEnd, hook: Hook): string {
  if (end.timedOut) return `killed after its timeout of ${hook.timeout} s`;
  if (end.signal !== undefined) return `killed by signal ${end.signal}`;
  return `exit code ${end.exitCode}`;
}

function quoteTail(output: number): string {
  const size = lseek(output, 0, SEEK_END);
  lseek(output, Math.max(0, size - OUTPUT_TAIL), SEEK_SET);
  const buffer = new Uint8Array(Math.min(size, OUTPUT_TAIL));
  const count = buffer.length === 0 ? 0 : read(output, buffer);
  const text = new TextDecoder().decode(buffer.subarray(0, count)).trim();
  return text === "" ? "" : `; its output ends with: ${text}`;
}
