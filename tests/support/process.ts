/** Looking at processes from outside, as any administrator could, and waiting for things. */
import { Stopwatch, whenOver } from "./busy.ts";
import type { Scope } from "./scope.ts";

/** `/proc/PID/status`, as the kernel says it. */
export interface ProcessStatus {
  name: string;
  /** One letter: R, S, D, Z, X, T … */
  state: string;
  ppid: number;
  /** Real, effective, saved, file system. */
  uids: [number, number, number, number];
  gids: [number, number, number, number];
  groups: number[];
  /** Pids from the outermost namespace to the innermost. */
  nsPids: number[];
  threads: number;
  signals: { pending: bigint; blocked: bigint; ignored: bigint; caught: bigint };
  capabilities: {
    inheritable: bigint;
    permitted: bigint;
    effective: bigint;
    bounding: bigint;
    ambient: bigint;
  };
  noNewPrivs: number;
  /** 0 none, 1 strict, 2 filter. */
  seccomp: number;
  seccompFilters: number;
  /** Absent for a zombie. */
  umask?: number;
}

/**
 * Reads `/proc/PID/status`.
 *
 * @throws Deno.errors.NotFound when there is no such process
 * @see proc_pid_status(5)
 */
export function readStatus(pid: number): ProcessStatus {
  return parseStatus(Deno.readTextFileSync(`/proc/${pid}/status`));
}

/** The text of `/proc/PID/status` as data. */
export function parseStatus(text: string): ProcessStatus {
  const fields = new Map<string, string>();
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  const field = (name: string) => {
    const value = fields.get(name);
    if (value === undefined) throw new Error(`/proc/PID/status has no ${name}`);
    return value;
  };
  const numbers = (name: string) => field(name).split(/\s+/).filter(Boolean).map(Number);
  const bits = (name: string) => BigInt(`0x${field(name)}`);
  return {
    name: field("Name"),
    state: field("State").charAt(0),
    ppid: Number(field("PPid")),
    uids: numbers("Uid") as ProcessStatus["uids"],
    gids: numbers("Gid") as ProcessStatus["gids"],
    groups: numbers("Groups"),
    nsPids: numbers("NSpid"),
    threads: Number(field("Threads")),
    signals: {
      pending: bits("SigPnd") | bits("ShdPnd"),
      blocked: bits("SigBlk"),
      ignored: bits("SigIgn"),
      caught: bits("SigCgt"),
    },
    capabilities: {
      inheritable: bits("CapInh"),
      permitted: bits("CapPrm"),
      effective: bits("CapEff"),
      bounding: bits("CapBnd"),
      ambient: bits("CapAmb"),
    },
    noNewPrivs: Number(field("NoNewPrivs")),
    seccomp: Number(field("Seccomp")),
    seccompFilters: Number(fields.get("Seccomp_filters") ?? "0"),
    ...(fields.has("Umask") ? { umask: parseInt(field("Umask"), 8) } : {}),
  };
}

/** True while the process exists and has not ended; a zombie has ended. */
export function isAlive(pid: number): boolean {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    // The name in parentheses may hold anything, so only the last one ends it.
    const state = stat.slice(stat.lastIndexOf(")") + 2).charAt(0);
    return state !== "" && !["Z", "X"].includes(state);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    // ESRCH: it ended between open and read.
    if (error instanceof Error && /os error 3\b/.test(error.message)) return false;
    throw error;
  }
}

/** The arguments of a process, from `/proc/PID/cmdline`; empty for a zombie or a kernel thread. */
export function readCommandLine(pid: number): string[] {
  try {
    const text = Deno.readTextFileSync(`/proc/${pid}/cmdline`);
    return text === "" ? [] : text.replace(/\0$/, "").split("\0");
  } catch {
    return [];
  }
}

/** The children of a process that have not exited. */
export function childrenOf(pid: number): number[] {
  const parent = new RegExp(`^PPid:\\t${pid}$`, "m");
  return listPids().filter((it) => {
    try {
      return parent.test(Deno.readTextFileSync(`/proc/${it}/status`)) && isAlive(it);
    } catch {
      return false; // it has just exited
    }
  });
}

/** The monitor of a container, by the pid that callers get: the waiter's. */
export function monitorOf(pid: number): number {
  const [monitor] = childrenOf(pid);
  if (monitor === undefined) throw new Error(`process ${pid} has no child`);
  return monitor;
}

/** Every process id there is now. */
export function listPids(): number[] {
  return [...Deno.readDirSync("/proc")].map((it) => Number(it.name)).filter(Number.isInteger);
}

/**
 * Signals a child, which may have ended: that it did is known to Deno before its `status` says so,
 * and then `kill` throws.
 */
export function signalChild(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
}

/**
 * Polls until the condition holds. A busy machine is given more time (`Stopwatch`).
 *
 * @param condition holds when it returns something truthy; errors it throws are final
 * @param options `what` is for the message: "the container to stop"
 * @returns what the condition returned
 * @throws Error when time is up
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: { timeoutSeconds: number; what: string; intervalMilliseconds?: number },
): Promise<NonNullable<T>> {
  const watch = new Stopwatch();
  while (true) {
    const value = await condition();
    if (value) return value;
    if (watch.isOver(options.timeoutSeconds * 1000)) {
      throw new Error(`waited ${options.timeoutSeconds} s in vain for ${options.what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, options.intervalMilliseconds ?? 20));
  }
}

/** What a finished command left. */
export interface CommandResult {
  /** 128 + number when a signal ended it. */
  code: number;
  stdout: string;
  stderr: string;
}

/** How a command is run. */
export interface CommandOptions {
  /**
   * Added to the caller's environment, or all of it with `clearEnv`. Words that a program says are to be
   * read here: in English by default, whatever the caller's language is.
   */
  env?: Record<string, string>;
  clearEnv?: boolean;
  cwd?: string;
  /** A promise: what the command is to hear once something has happened. */
  stdin?: string | Uint8Array | Promise<string | Uint8Array>;
  /** SIGKILL after this long, 60 by default; later on a busy machine (`whenOver`). */
  timeoutSeconds?: number;
  /** Throws on a code other than 0, with what the command printed. */
  check?: boolean;
  /** SIGKILL when this scope ends before the command does: its clean-ups find the command gone. */
  scope?: Scope;
}

/**
 * Runs a command to its end. Its output is read until the command itself ends, not until the last
 * holder of its stdout does: a container may keep it.
 *
 * @param argv program and arguments
 * @throws Error when it cannot be started, or with `check` when it fails
 */
export async function run(argv: string[], options: CommandOptions = {}): Promise<CommandResult> {
  const [program, ...args] = argv;
  if (program === undefined) throw new Error("run: no program");
  const seconds = options.timeoutSeconds ?? 60;
  const child = new Deno.Command(program, {
    args,
    env: options.clearEnv ? options.env : { LC_ALL: "C", ...options.env },
    clearEnv: options.clearEnv,
    cwd: options.cwd,
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let late = false;
  const deadline = whenOver(seconds, () => {
    late = true;
    child.kill("SIGKILL");
  });
  let over = false;
  options.scope?.defer(`end ${program}`, async () => {
    if (!over) child.kill("SIGKILL");
    await child.status;
  });
  try {
    if (options.stdin !== undefined) await feed(child.stdin, await options.stdin);
    const stdout = new OutputReader(child.stdout);
    const stderr = new OutputReader(child.stderr);
    const status = await child.status;
    over = true;
    const [out, err] = await Promise.all([stdout.finish(), stderr.finish()]);
    const result = { code: status.code, stdout: out, stderr: err };
    if (late) {
      throw new Error(`${argv.join(" ")}: did not end within ${seconds} s\n${show(result)}`);
    }
    if (options.check && result.code !== 0) {
      throw new Error(`${argv.join(" ")}: exit code ${result.code}\n${show(result)}`);
    }
    return result;
  } finally {
    deadline.cancel();
  }
}

function show(result: CommandResult): string {
  return `stdout: ${result.stdout}\nstderr: ${result.stderr}`;
}

async function feed(stdin: WritableStream<Uint8Array>, data: string | Uint8Array) {
  const writer = stdin.getWriter();
  try {
    await writer.write(typeof data === "string" ? new TextEncoder().encode(data) : data);
    await writer.close();
  } catch {
    // EPIPE: the command ended without reading; its exit code tells the rest.
    await writer.abort().catch(() => {});
  }
}

/** How long output may still arrive after the command has ended. */
const DRAIN_MILLISECONDS = 200;

/** Collects a stream in the background; given up on when a descendant holds it open. */
class OutputReader {
  #chunks: Uint8Array[] = [];
  #reader: ReadableStreamDefaultReader<Uint8Array>;
  #done: Promise<void>;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
    this.#done = this.#pump();
  }

  async finish(): Promise<string> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const drained = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, DRAIN_MILLISECONDS);
    });
    await Promise.race([this.#done, drained]);
    clearTimeout(timer);
    await this.#reader.cancel();
    await this.#done;
    return new TextDecoder().decode(await new Blob(this.#chunks as BlobPart[]).arrayBuffer());
  }

  async #pump() {
    while (true) {
      const { done, value } = await this.#reader.read();
      if (done) return;
      this.#chunks.push(value);
    }
  }
}
