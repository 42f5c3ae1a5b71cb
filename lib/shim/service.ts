import { AlreadyExistsError, NotFoundError, UnsupportedError } from "../errors.ts";
import type { Publisher } from "./events/publisher.ts";
import type { ShimLog } from "./daemon/log.ts";
import type { MemoryWatch } from "./oom/watch.ts";
import { Mutex } from "../os/mutex.ts";
import {
  CloseIORequest,
  ConnectRequest,
  ConnectResponse,
  CreateTaskRequest,
  CreateTaskResponse,
  DeleteRequest,
  DeleteResponse,
  EMPTY,
  ExecProcessRequest,
  type Input,
  KillRequest,
  type MessageType,
  PauseRequest,
  PidsRequest,
  PidsResponse,
  ProcessDetails,
  type ProcessInfo,
  ResizePtyRequest,
  ResumeRequest,
  StartRequest,
  StartResponse,
  StateRequest,
  StateResponse,
  StatsRequest,
  StatsResponse,
  Status,
  TaskCreate,
  TaskDelete,
  TaskExecAdded,
  TaskExecStarted,
  TaskExit as TaskExitEvent,
  TaskOOM,
  TaskPaused,
  TaskResumed,
  TaskStart,
  timestampOf,
  UpdateTaskRequest,
  WaitRequest,
  WaitResponse,
} from "../protocol/containerd/messages.ts";
import { packAny } from "../protocol/protobuf/well_known.ts";
import { endsWithin } from "./stdio/ends_within.ts";
import type { Task, TaskProcess } from "./task/task.ts";
import type { Handler } from "../protocol/ttrpc/services.ts";

/** How long what was added to a container may run after the container has exited. */
const EXEC_MILLISECONDS = 2000;

/** How long a kill may take after its target has exited. */
const KILL_MILLISECONDS = 2000;

/** Makes tasks; `create` has left nothing behind when it throws, unless it is a NotUndoneError. */
export interface TaskFactory {
  create(request: CreateTaskRequest): Promise<Task>;
  /** Removes what was made for a task, after it was deleted. */
  remove(task: Task): void;
  /** Calls `onKill` when the OOM killer has killed a process of a task. */
  watchMemory(task: Task, onKill: () => void): MemoryWatch;
}

/** What the service does to the process that it runs in. */
export interface ServiceOptions {
  tasks: TaskFactory;
  publisher: Pick<Publisher, "publish">;
  log: Pick<ShimLog, "error">;
  /** Called when the last task is gone and containerd asks the shim to exit. */
  shutdown(): void;
}

/** A task and the processes that were added to it. */
interface Entry {
  task: Task;
  processes: Map<string, Process>;
  /** Ids of processes that are being added. */
  adding: Set<string>;
  main: Process;
  memory: MemoryWatch;
}

interface Process {
  process: TaskProcess;
  /** One change at a time. A process that was added does not hold up the container. */
  mutex: Mutex;
  /** Its start has succeeded. */
  isStarted: boolean;
  /** Its exit was published, if it was to be. */
  published: Promise<void>;
  /** Senders of signals wait for these. */
  kills: Set<Promise<void>>;
}

/** What a process is followed for. */
interface Followed {
  containerId: string;
  id: string;
  process: TaskProcess;
  /** Whether its exit is published even if it was never started. */
  always: boolean;
  /** Comes before its exit is published. Never rejects. */
  before(): Promise<void>;
}

/**
 * containerd's task service: which task a request means, in which order things happen to it, and what
 * is told of it. Events of a task come in the order create, start, exit, delete.
 *
 * @see containerd, api/runtime/task/v2/shim.proto
 */
export class TaskService {
  readonly #options: ServiceOptions;
  readonly #entries = new Map<string, Entry>();
  /** Ids that are being created. */
  readonly #creating = new Set<string>();

  constructor(options: ServiceOptions) {
    this.#options = options;
  }

  /** No task exists or is being created. */
  get isIdle(): boolean {
    return this.#entries.size === 0 && this.#creating.size === 0;
  }

  /** The methods under the names that they are called by. */
  handlers(): Record<string, Handler> {
    return {
      Create: on(CreateTaskRequest, CreateTaskResponse, (it) => this.#create(it)),
      Start: on(StartRequest, StartResponse, (it) => this.#start(it)),
      Delete: on(DeleteRequest, DeleteResponse, (it) => this.#delete(it)),
      State: on(StateRequest, StateResponse, (it) => this.#state(it)),
      Wait: on(WaitRequest, WaitResponse, (it) => this.#wait(it)),
      Kill: on(KillRequest, null, async (it) => {
        const { process, kills } = this.#process(it);
        const kill = process.kill(it.signal, it.all);
        kills.add(kill);
        try {
          await kill;
        } finally {
          kills.delete(kill);
        }
      }),
      Pids: on(PidsRequest, PidsResponse, async (it) => await this.#pids(it.id)),
      Pause: on(PauseRequest, null, (it) => this.#pause(it)),
      Resume: on(ResumeRequest, null, (it) => this.#resume(it)),
      Update: on(UpdateTaskRequest, null, async (it) => {
        const { task, main } = this.#entry(it.id);
        await main.mutex.run(() => task.update(it.resources?.value ?? new Uint8Array()));
      }),
      Stats: on(StatsRequest, StatsResponse, async (it) => {
        const { readTaskStats } = await import("./task/stats.ts");
        return { stats: readTaskStats(this.#entry(it.id).task.cgroupPaths()) };
      }),
      ResizePty: on(ResizePtyRequest, null, (it) => {
        this.#process(it).process.resize(it.width, it.height);
      }),
      CloseIO: on(CloseIORequest, null, (it) => {
        if (it.stdin) this.#process(it).process.closeInput();
      }),
      Exec: on(ExecProcessRequest, null, (it) => this.#exec(it)),
      Checkpoint: () => {
        throw new UnsupportedError({
          operation: "checkpoint container",
          reason: "not supported: a guest's state is in its monitor",
        });
      },
      Connect: on(ConnectRequest, ConnectResponse, (it) => ({
        shimPid: Deno.pid,
        taskPid: this.#entries.get(it.id)?.task.pid ?? 0,
      })),
      Shutdown: (_payload, context) => {
        context.afterAnswer(() => {
          if (this.isIdle) this.#options.shutdown();
        });
        return EMPTY;
      },
    };
  }

  async #create(request: CreateTaskRequest): Promise<Input<CreateTaskResponse>> {
    const { id } = request;
    if (this.#entries.has(id) || this.#creating.has(id)) {
      throw new AlreadyExistsError({
        operation: "create task",
        subject: id,
        reason: "it already exists",
      });
    }
    this.#creating.add(id);
    try {
      const task = await this.#options.tasks.create(request);
      const { stdin, stdout, stderr, terminal } = request;
      this.#publish(TaskCreate, "/tasks/create", {
        containerId: id,
        bundle: request.bundle,
        rootfs: request.rootfs,
        io: { stdin, stdout, stderr, terminal },
        pid: task.pid,
      });
      const processes = new Map<string, Process>();
      const memory = this.#options.tasks.watchMemory(
        task,
        () => this.#publish(TaskOOM, "/tasks/oom", { containerId: id }),
      );
      const before = async () => {
        await exitsOf(processes);
        await this.#lookForKills(memory, task);
      };
      const main = this.#follow({ containerId: id, id, process: task, always: true, before });
      this.#entries.set(id, { task, main, memory, processes, adding: new Set() });
      return { pid: task.pid };
    } finally {
      this.#creating.delete(id);
    }
  }

  async #start(request: StartRequest): Promise<Input<StartResponse>> {
    const { id, execId } = request;
    const entry = this.#entry(id);
    const started = this.#process(request);
    return await started.mutex.run(async () => {
      await started.process.start();
      started.isStarted = true;
      const { pid } = started.process;
      if (execId === "") {
        this.#publish(TaskStart, "/tasks/start", { containerId: id, pid });
        entry.memory.begin();
      } else {
        this.#publish(TaskExecStarted, "/tasks/exec-started", { containerId: id, execId, pid });
      }
      return { pid };
    });
  }

  async #delete(request: DeleteRequest): Promise<Input<DeleteResponse>> {
    const { id, execId } = request;
    const entry = this.#entry(id);
    const process = this.#process(request);
    // Not inside: the exit is published by the holder of the mutex after the start.
    await process.mutex.run(() => process.process.delete());
    await process.published;
    // It may have ended before the kill has. containerd may have this shim end after the answer, and
    // the caller of the kill would get an error that the connection is closed.
    if (process.kills.size > 0) {
      const kills = Promise.allSettled(process.kills).then(() => {});
      await endsWithin(kills, KILL_MILLISECONDS);
    }
    const exit = await process.process.ended;
    const { pid } = process.process;
    const answer = {
      pid,
      exitStatus: exit.status,
      exitedAt: timestampOf(exit.at.getTime()),
    };
    if (execId !== "") {
      entry.processes.delete(execId);
      return answer;
    }
    this.#options.tasks.remove(entry.task);
    this.#entries.delete(id);
    this.#publish(TaskDelete, "/tasks/delete", { containerId: id, ...answer });
    return answer;
  }

  #state(request: StateRequest): Input<StateResponse> {
    const { task } = this.#entry(request.id);
    const { process } = this.#process(request);
    const { exit, io } = process;
    return {
      id: request.execId || request.id,
      bundle: task.bundle,
      pid: process.pid,
      status: Status[process.status()],
      stdin: io.stdin,
      stdout: io.stdout,
      stderr: io.stderr,
      terminal: io.terminal,
      exitStatus: exit?.status ?? 0,
      exitedAt: exit && timestampOf(exit.at.getTime()),
      execId: request.execId,
    };
  }

  async #pids(id: string): Promise<{ processes: Input<ProcessInfo>[] }> {
    const { task, processes } = this.#entry(id);
    // A restarted containerd takes a task without processes for one that never was,
    // and would not hear how it ended.
    const pids = task.exit === undefined ? await task.pids() : [task.pid];
    // What stands for a guest's process is not in the container's cgroup.
    const added = new Map(
      [...processes].filter(([, { process }]) => process.status() === "running")
        .map(([execId, { process }]) => [process.pid, execId]),
    );
    return {
      processes: [...new Set([...pids, ...added.keys()])].map((pid) => {
        const execId = added.get(pid);
        return execId === undefined ? { pid } : { pid, info: packAny(ProcessDetails, { execId }) };
      }),
    };
  }

  async #wait(request: WaitRequest): Promise<Input<WaitResponse>> {
    const exit = await this.#process(request).process.ended;
    return { exitStatus: exit.status, exitedAt: timestampOf(exit.at.getTime()) };
  }

  async #pause({ id }: PauseRequest): Promise<void> {
    const { task, main } = this.#entry(id);
    await main.mutex.run(() => task.pause());
    this.#publish(TaskPaused, "/tasks/paused", { containerId: id });
  }

  async #resume({ id }: ResumeRequest): Promise<void> {
    const { task, main } = this.#entry(id);
    await main.mutex.run(() => task.resume());
    this.#publish(TaskResumed, "/tasks/resumed", { containerId: id });
  }

  async #exec(request: ExecProcessRequest): Promise<void> {
    const { id, execId, stdin, stdout, stderr, terminal, spec } = request;
    const { task, processes, adding } = this.#entry(id);
    if (processes.has(execId) || adding.has(execId)) {
      throw new AlreadyExistsError({ operation: "exec", subject: execId, reason: "id is taken" });
    }
    adding.add(execId);
    try {
      const io = { stdin, stdout, stderr, terminal };
      const process = await task.exec(execId, spec?.value ?? new Uint8Array(), io);
      const added = { containerId: id, id: execId, process, always: false };
      processes.set(execId, this.#follow({ ...added, before: () => Promise.resolve() }));
      this.#publish(TaskExecAdded, "/tasks/exec-added", { containerId: id, execId });
    } finally {
      adding.delete(execId);
    }
  }

  /** Publishes the exit of a process when it comes: after its start, which may be under way. */
  #follow({ containerId, id, process, always, before }: Followed): Process {
    const mutex = new Mutex();
    const published = process.ended.then((exit) =>
      mutex.run(async () => {
        if (!always && !followed.isStarted) return;
        await before();
        this.#publish(TaskExitEvent, "/tasks/exit", {
          containerId,
          id,
          pid: process.pid,
          exitStatus: exit.status,
          exitedAt: timestampOf(exit.at.getTime()),
        });
      })
    );
    const followed: Process = { process, mutex, published, isStarted: false, kills: new Set() };
    return followed;
  }

  /** Whether that works or not: containerd waits for the exit. */
  async #lookForKills(memory: MemoryWatch, task: Task): Promise<void> {
    try {
      await memory.end(task.exit!.status);
    } catch (error) {
      this.#options.log.error("look whether memory was short", error);
    }
  }

  #publish<T>(type: MessageType<T>, topic: string, event: Input<T>): void {
    this.#options.publisher.publish(topic, type, event);
  }

  #entry(id: string): Entry {
    const entry = this.#entries.get(id);
    if (entry !== undefined) return entry;
    throw new NotFoundError({
      operation: "find task",
      subject: id,
      reason: "container not created: not found",
    });
  }

  #process({ id, execId }: { id: string; execId: string }): Process {
    const entry = this.#entry(id);
    const process = execId === "" ? entry.main : entry.processes.get(execId);
    if (process !== undefined) return process;
    throw new NotFoundError({
      operation: "find process",
      subject: execId,
      reason: "process does not exist: not found",
    });
  }
}

/**
 * Waits for what runs in a container and ends with it: containerd's clients do not expect an exit after the
 * container's.
 *
 * @see containerd, cmd/containerd-shim-runc-v2/task/service.go, handleProcessExit
 */
async function exitsOf(processes: Map<string, Process>): Promise<void> {
  const running = [...processes.values()].filter(({ isStarted }) => isStarted);
  if (running.length === 0) return;
  const published = Promise.all(running.map((it) => it.published)).then(() => {});
  await endsWithin(published, EXEC_MILLISECONDS);
}

/**
 * A handler from the types of its request and answer.
 *
 * @param answerType null: the answer is empty
 */
function on<Request, Answer>(
  requestType: MessageType<Request>,
  answerType: MessageType<Answer> | null,
  action: (request: Request) => Promise<Input<Answer> | void> | Input<Answer> | void,
): Handler {
  return async (payload) => {
    const answer = await action(requestType.decode(payload));
    return answerType === null ? EMPTY : answerType.encode(answer as Input<Answer>);
  };
}
