import {
  close,
  kill as killProcess,
  LinuxError,
  pidfdOpen,
  pidfdSendSignal,
  SIGKILL,
} from "../../../ffi/linux.ts";
import { WrongStateError } from "../../errors.ts";
import { SIGNAL_EXIT_BASE } from "../../os/signals.ts";
import { processAlreadyFinished } from "../../protocol/ttrpc/status.ts";
import type { ShimServices } from "../daemon/services.ts";
import type { TaskIo } from "../stdio/streams.ts";
import { openStdio, type TaskStdio } from "../stdio/task_stdio.ts";
import type { TaskExit, TaskProcess, TaskStatus } from "./task.ts";

/** A process that becomes a child of the shim when it starts. */
export abstract class ChildProcess implements TaskProcess {
  readonly io: TaskIo;
  readonly ended: Promise<TaskExit>;
  protected readonly services: ShimServices;
  #pid = 0;
  #exit?: TaskExit;
  #end!: (exit: TaskExit) => void;

  protected constructor(services: ShimServices, io: TaskIo) {
    this.services = services;
    this.io = io;
    this.ended = new Promise((resolve) => this.#end = resolve);
  }

  get pid(): number {
    return this.#pid;
  }

  get exit(): TaskExit | undefined {
    return this.#exit;
  }

  abstract resize(columns: number, rows: number): void;
  abstract closeInput(): void;
  abstract status(): TaskStatus;
  abstract start(): Promise<void>;
  abstract kill(signal: number, all: boolean): Promise<void>;
  abstract delete(): Promise<void>;

  /** It runs as this child. */
  follow(pid: number): void {
    this.#pid = pid;
    void this.#wait();
  }

  /** It was never started, and never will be. */
  protected abandon(status = SIGNAL_EXIT_BASE + SIGKILL): void {
    this.#finish({ status, at: new Date() });
  }

  async #wait(): Promise<void> {
    try {
      const { exitCode, signal, at } = await this.services.reaper.wait(this.#pid);
      this.#finish({ status: signal === undefined ? exitCode! : SIGNAL_EXIT_BASE + signal, at });
    } catch (error) {
      this.services.log.error(`wait for process ${this.#pid}`, error);
      this.#finish({ status: 255, at: new Date() });
    }
  }

  #finish(exit: TaskExit): void {
    this.#exit ??= exit;
    this.#end(this.#exit);
  }
}

/** One that was added to a container. */
export abstract class AddedProcess extends ChildProcess {
  protected readonly id: string;
  #stdio?: TaskStdio;
  #isStarted = false;
  /** What `made` was called with. */
  #made = 0;
  #size?: [columns: number, rows: number];
  #hasInput = true;

  /** @param id of the process */
  constructor(services: ShimServices, id: string, io: TaskIo) {
    super(services, io);
    this.id = id;
  }

  /** Starts it, or throws UruncError. The standard files are closed with the process. */
  protected abstract launch(stdio: TaskStdio): Promise<void>;

  /**
   * Its start has made this child, and goes on: it gets signals from now on, and is not reaped before `follow`.
   *
   * @throws as `follow`
   */
  protected made(pid: number): void {
    if (this.exit !== undefined) return this.follow(pid);
    this.services.reaper.expect(pid);
    this.#made = pid;
  }

  /**
   * It runs as this child.
   *
   * @throws WrongStateError when it was killed before there was a child, which is killed then
   */
  override follow(pid: number): void {
    const isKilled = this.exit !== undefined;
    super.follow(pid);
    if (!isKilled) return;
    // It has not been waited for yet.
    killProcess(pid, SIGKILL);
    throw killedBefore(this.id);
  }

  resize(columns: number, rows: number): void {
    if (this.#isStarted) this.#stdio!.resize(columns, rows);
    else this.#size = [columns, rows];
  }

  closeInput(): void {
    this.#hasInput = false;
    this.#stdio?.closeInput();
  }

  status(): TaskStatus {
    if (this.exit !== undefined) return "stopped";
    return this.#isStarted ? "running" : "created";
  }

  async start(): Promise<void> {
    if (this.status() !== "created") throw cannotStart(this.id, this.status());
    try {
      await this.#launch();
      this.#isStarted = true;
    } catch (error) {
      // It may run, and its terminal not be served.
      if (this.pid === 0) this.abandon();
      else await this.kill(SIGKILL).catch(() => {});
      // docker reads its output to the end before it deletes the process.
      this.#stdio?.close();
      throw error;
    }
  }

  /**
   * Only now: a client cannot say that its input has ended before it knows of the process, and begins to
   * write when its files are opened.
   */
  async #launch(): Promise<void> {
    const stdio = this.#stdio = await openStdio(this.services, this.id, this.io);
    if (this.exit !== undefined) throw killedBefore(this.id);
    if (!this.#hasInput) stdio.closeInput();
    await this.launch(stdio);
    if (this.#size !== undefined) stdio.resize(...this.#size);
  }

  kill(signal: number): Promise<void> {
    try {
      if (this.exit !== undefined) throw processAlreadyFinished();
      const pid = this.pid || this.#made;
      if (pid === 0) this.abandon();
      else sendSignal(pid, signal);
      return Promise.resolve();
    } catch (error) {
      const gone = error instanceof LinuxError && error.code === "ESRCH";
      return Promise.reject(gone ? processAlreadyFinished() : error);
    }
  }

  async delete(): Promise<void> {
    const isStarting = this.#made !== 0 && this.pid === 0;
    if (isStarting || this.status() === "running") throw notStopped(this.id, this.status());
    if (this.pid === 0) this.abandon();
    else await this.#stdio!.drain();
    this.#stdio?.close();
  }
}

/** The child is the shim's, which has not waited for it: its number is its own. */
function sendSignal(pid: number, signal: number): void {
  const pidfd = pidfdOpen(pid);
  try {
    pidfdSendSignal(pidfd, signal);
  } finally {
    close(pidfd);
  }
}

/** The error about a process that cannot be deleted yet. */
export function notStopped(id: string, status: TaskStatus): WrongStateError {
  return new WrongStateError({
    operation: "delete task",
    subject: id,
    reason: `it is not stopped: it is ${status}`,
    remedy: "kill it first",
  });
}

/** As containerd's own shim words it, pkg/process/exec_state.go. */
function cannotStart(id: string, status: TaskStatus): WrongStateError {
  return new WrongStateError({
    operation: "start process",
    subject: id,
    reason: `cannot start a ${status} process`,
  });
}

function killedBefore(id: string): WrongStateError {
  return new WrongStateError({
    operation: "start process",
    subject: id,
    reason: "it was killed before it ran",
  });
}
