import type { TaskIo } from "../stdio/streams.ts";

/** How a task ended. */
export interface TaskExit {
  /** As containerd shows it: a signal is 128 and its number. */
  status: number;
  at: Date;
}

/** What a task is doing, by the names of containerd's Status. */
export type TaskStatus = "created" | "running" | "stopped" | "paused";

/** A process of a task: its init, or one added by exec. */
export interface TaskProcess {
  readonly io: TaskIo;
  /** 0 before there is one. */
  readonly pid: number;
  /** Undefined while it lives. */
  readonly exit: TaskExit | undefined;
  /** Settles when it has ended. Never rejects. */
  readonly ended: Promise<TaskExit>;
  status(): TaskStatus;
  /** Throws UruncError. */
  start(): Promise<void>;
  kill(signal: number, all: boolean): Promise<void>;
  resize(columns: number, rows: number): void;
  closeInput(): void;
  /** Deletes it. Throws WrongStateError while it runs. */
  delete(): Promise<void>;
}

/** A container that this shim serves. */
export interface Task extends TaskProcess {
  readonly id: string;
  /** Absolute. */
  readonly bundle: string;
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Changes limits: `linux.resources` of the runtime specification, as JSON. */
  update(resources: Uint8Array): Promise<void>;
  /** All of its processes. */
  pids(): Promise<number[]>;
  /** Directories in the cgroup file systems that its numbers are read from. */
  cgroupPaths(): string[];
  /** Whether a guest's kernel says that it ran out of memory and killed a process. */
  ranOutOfMemory?(): Promise<boolean>;
  /**
   * Adds a process.
   *
   * @param spec a `process` of the runtime specification, as JSON
   * @throws UnsupportedError when there is nothing to add it to
   */
  exec(id: string, spec: Uint8Array, io: TaskIo): Promise<TaskProcess>;
}
