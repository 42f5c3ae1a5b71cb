import {
  close,
  lseek,
  memfdCreate,
  MFD_CLOEXEC,
  pidfdOpen,
  poll,
  POLLIN,
  read,
  SEEK_END,
  SEEK_SET,
  spawn,
  waitpid,
  writeAll,
} from "../../ffi/linux.ts";
import { UruncError } from "../errors.ts";
import type { State } from "../oci/state.ts";
import type { Hook, HookName } from "../oci/types.ts";

/** As much of a failed hook's last words as goes into the error. Bytes. */
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
      runHook(hook, input);
    } catch (error) {
      throw hookError(name, hook, error);
    }
  }
}

/**
 * Runs every one of the hooks, also after one has failed: what the specification wants of poststart
 * and poststop.
 *
 * @returns what failed, to be logged
 */
export function runEveryHook(hooks: Hook[], state: State, options: HookOptions): string[] {
  return hooks.flatMap((hook) => {
    try {
      runHooks([hook], state, options);
      return [];
    } catch (error) {
      return [error instanceof Error ? error.message : String(error)];
    }
  });
}

function hookError(name: HookName, hook: Hook, error: unknown): UruncError {
  return new UruncError({
    operation: `run ${name} hook`,
    subject: hook.path,
    reason: error instanceof Error ? error.message : String(error),
    cause: error,
  });
}

/** Throws an Error whose message is a reason. */
function runHook(hook: Hook, input: Uint8Array): void {
  // Files in memory rather than pipes: no side ever waits for the other to read, and a daemon that
  // the hook leaves behind does not keep us.
  const stdin = memfdCreate("hook-stdin", MFD_CLOEXEC);
  const output = memfdCreate("hook-output", MFD_CLOEXEC);
  try {
    writeAll(stdin, input);
    // The child shares our file offset.
    lseek(stdin, 0, SEEK_SET);
    const pid = spawn({
      path: hook.path,
      argv: hook.args.length === 0 ? [hook.path] : hook.args,
      env: hook.env,
      fds: [{ from: stdin, to: 0 }, { from: output, to: 1 }, { from: output, to: 2 }],
      // A session of its own, so that a timeout ends the hook's children with it.
      setsid: true,
    });
    const end = waitFor(pid, hook.timeout);
    if (end.exitCode === 0) return;
    throw new Error(`${describeEnd(end, hook)}${quoteTail(output)}`);
  } finally {
    close(stdin);
    close(output);
  }
}

interface HookEnd {
  exitCode?: number;
  signal?: number;
  timedOut: boolean;
}

/** @param timeout seconds; undefined waits for ever */
function waitFor(pid: number, timeout: number | undefined): HookEnd {
  const timedOut = timeout !== undefined && !endsWithin(pid, timeout * 1000);
  // The whole process group, which the hook leads: ffi's kill takes single processes only.
  if (timedOut) Deno.kill(-pid, "SIGKILL");
  const end = waitpid(pid, 0);
  return { exitCode: end?.exitCode, signal: end?.signal, timedOut };
}

function endsWithin(pid: number, milliseconds: number): boolean {
  const deadline = performance.now() + milliseconds;
  const pidfd = pidfdOpen(pid);
  try {
    for (;;) {
      const left = Math.ceil(deadline - performance.now());
      // poll(2) takes an int; a longer wait is done in pieces.
      const slice = Math.min(Math.max(left, 0), 0x7fffffff);
      const [events] = poll([{ fd: pidfd, events: POLLIN }], slice);
      if (events !== 0) return true;
      if (left <= 0) return false;
    }
  } finally {
    close(pidfd);
  }
}

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
