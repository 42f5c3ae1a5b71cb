import { close, LinuxError, O_RDWR, open, pidfdOpen, pidfdSendSignal } from "../../../ffi/linux.ts";
import { cgroupsOfProcess } from "../../cgroups/of_process.ts";
import { UruncError, WrongStateError } from "../../errors.ts";
import { notUndone } from "../../container/undo.ts";
import type { ShimServices } from "../daemon/services.ts";
import type { TaskIo } from "../stdio/streams.ts";
import { openStdio, type TaskStdio } from "../stdio/task_stdio.ts";
import { processAlreadyFinished } from "../../protocol/ttrpc/status.ts";
import { ConsoleSocket } from "./console_socket.ts";
import { OciRuntime } from "./oci_runtime.ts";
import type { Task, TaskExit, TaskProcess, TaskStatus } from "./task.ts";
import type { TaskRequest } from "./unikernel.ts";
import { SIGNAL_EXIT_BASE } from "../../os/signals.ts";

/** What runtimes say when there is nothing left to signal. */
const FINISHED = /process already finished|container not running|no such process|does not exist/;

/** What the processes of one container share. */
interface Container {
  id: string;
  bundle: string;
  services: ShimServices;
  runtime: OciRuntime;
}

/** A process that an OCI runtime starts and that then is a child of the shim. */
abstract class DelegatedProcess implements TaskProcess {
  readonly ended: Promise<TaskExit>;
  protected readonly container: Container;
  protected readonly stdio: TaskStdio;
  #pid = 0;
  #exit?: TaskExit;
  #end!: (exit: TaskExit) => void;

  protected constructor(container: Container, stdio: TaskStdio) {
    this.container = container;
    this.stdio = stdio;
    this.ended = new Promise((resolve) => this.#end = resolve);
  }

  get io(): TaskIo {
    return this.stdio.io;
  }

  get pid(): number {
    return this.#pid;
  }

  get exit(): TaskExit | undefined {
    return this.#exit;
  }

  resize(columns: number, rows: number): void {
    this.stdio.resize(columns, rows);
  }

  closeInput(): void {
    this.stdio.closeInput();
  }

  abstract status(): TaskStatus;
  abstract start(): Promise<void>;
  abstract kill(signal: number, all: boolean): Promise<void>;
  abstract delete(): Promise<void>;

  /** Runs the runtime's command that starts the process, which finds its id in the pid file. */
  protected async launch(command: string[], pidFile: string, rest: string[]): Promise<void> {
    const { services, runtime } = this.container;
    using socket = this.io.terminal ? new ConsoleSocket() : undefined;
    const console = socket === undefined ? [] : ["--console-socket", socket.path];
    const nothing = open("/dev/null", O_RDWR);
    // A child may exit before its pid is known.
    using _hold = services.reaper.hold();
    try {
      const stdio = this.io.terminal ? [nothing, nothing, nothing] as const : this.stdio.stdio;
      await runtime.run([...command, "--pid-file", pidFile, ...console, ...rest], stdio);
      this.stdio.given();
      this.#pid = Number(Deno.readTextFileSync(pidFile));
      void this.#follow();
      if (socket !== undefined) this.stdio.attachTerminal(socket.take());
    } finally {
      close(nothing);
    }
  }

  /** It was never started, and never will be. */
  protected abandon(): void {
    this.#finish({ status: SIGNAL_EXIT_BASE + 9, at: new Date() });
  }

  async #follow(): Promise<void> {
    try {
      const { exitCode, signal, at } = await this.container.services.reaper.wait(this.#pid);
      this.#finish({ status: signal === undefined ? exitCode! : SIGNAL_EXIT_BASE + signal, at });
    } catch (error) {
      this.container.services.log.error(`wait for process ${this.#pid}`, error);
      this.#finish({ status: 255, at: new Date() });
    }
  }

  #finish(exit: TaskExit): void {
    this.#exit ??= exit;
    this.#end(this.#exit);
  }
}

/** A container that is not a guest: an OCI runtime runs it, with all its features. */
export class DelegatedTask extends DelegatedProcess implements Task {
  readonly id: string;
  readonly bundle: string;
  #cgroups: string[] = [];
  #isStarted = false;
  #isPaused = false;

  private constructor(container: Container, stdio: TaskStdio) {
    super(container, stdio);
    this.id = container.id;
    this.bundle = container.bundle;
  }

  /**
   * Makes the container, up to where only its start is left.
   *
   * @param program the OCI runtime, an absolute path
   * @throws UruncError with the runtime's own message; nothing is left behind then, unless it is a
   *   NotUndoneError
   */
  static async create(
    services: ShimServices,
    request: TaskRequest,
    program: string,
  ): Promise<DelegatedTask> {
    const { id, bundle, io, options, root } = request;
    const { systemdCgroup, noPivotRoot, noNewKeyring } = options;
    const runtime = new OciRuntime(
      { program, root, logs: bundle, systemdCgroup },
      services.reaper,
    );
    const stdio = await openStdio(services, id, io);
    const task = new DelegatedTask({ id, bundle, services, runtime }, stdio);
    try {
      await task.launch(["create", "--bundle", bundle], `${bundle}/init.pid`, [
        ...(noPivotRoot ? ["--no-pivot"] : []),
        ...(noNewKeyring ? ["--no-new-keyring"] : []),
        id,
      ]);
      task.#cgroups = cgroupsOfProcess(task.pid);
      return task;
    } catch (error) {
      task.stdio.close();
      await runtime.deleteIfThere(id).catch((failure) => {
        throw notUndone({ program, root, id }, failure, error);
      });
      throw error;
    }
  }

  status(): TaskStatus {
    if (this.exit !== undefined) return "stopped";
    if (this.#isPaused) return "paused";
    return this.#isStarted ? "running" : "created";
  }

  async start(): Promise<void> {
    await this.container.runtime.run(["start", this.id]);
    this.#isStarted = true;
  }

  async kill(signal: number, all: boolean): Promise<void> {
    const flags = all ? ["--all"] : [];
    try {
      await this.container.runtime.run(["kill", ...flags, this.id, String(signal)]);
    } catch (error) {
      if (error instanceof UruncError && FINISHED.test(error.message)) {
        throw processAlreadyFinished();
      }
      throw error;
    }
  }

  async delete(): Promise<void> {
    const status = this.status();
    if (status === "running" || status === "paused") throw notStopped(this.id, status);
    if (this.exit !== undefined) await this.stdio.drain();
    await this.container.runtime.run(["delete", "--force", this.id]);
    await this.ended;
    this.stdio.close();
  }

  async pause(): Promise<void> {
    await this.container.runtime.run(["pause", this.id]);
    this.#isPaused = true;
  }

  async resume(): Promise<void> {
    await this.container.runtime.run(["resume", this.id]);
    this.#isPaused = false;
  }

  async update(resources: Uint8Array): Promise<void> {
    await this.container.runtime.run(
      ["update", "--resources", "-", this.id],
      undefined,
      resources as Uint8Array<ArrayBuffer>,
    );
  }

  async pids(): Promise<number[]> {
    return JSON.parse(await this.container.runtime.run(["ps", "--format", "json", this.id])) ?? [];
  }

  cgroupPaths(): string[] {
    return this.#cgroups;
  }

  async exec(id: string, spec: Uint8Array, io: TaskIo): Promise<TaskProcess> {
    const stdio = await openStdio(this.container.services, id, io);
    return new DelegatedExec(this.container, id, spec, stdio);
  }
}

/** A process that was added to such a container. */
class DelegatedExec extends DelegatedProcess {
  readonly #id: string;
  readonly #spec: Uint8Array;
  #isStarted = false;

  constructor(container: Container, id: string, spec: Uint8Array, stdio: TaskStdio) {
    super(container, stdio);
    this.#id = id;
    this.#spec = spec;
  }

  status(): TaskStatus {
    if (this.exit !== undefined) return "stopped";
    return this.#isStarted ? "running" : "created";
  }

  async start(): Promise<void> {
    const { bundle, id } = this.container;
    const base = `${bundle}/${this.#id}`;
    const [specFile, pidFile] = [`${base}.process.json`, `${base}.pid`];
    Deno.writeFileSync(specFile, this.#spec, { mode: 0o600 });
    try {
      await this.launch(["exec", "--process", specFile, "--detach"], pidFile, [id]);
      this.#isStarted = true;
    } catch (error) {
      this.abandon();
      throw error;
    } finally {
      Deno.removeSync(specFile);
    }
  }

  kill(signal: number): Promise<void> {
    try {
      if (this.exit !== undefined) throw processAlreadyFinished();
      if (this.pid === 0) {
        this.abandon();
      } else {
        const pidfd = pidfdOpen(this.pid);
        try {
          pidfdSendSignal(pidfd, signal);
        } finally {
          close(pidfd);
        }
      }
      return Promise.resolve();
    } catch (error) {
      const gone = error instanceof LinuxError && error.code === "ESRCH";
      return Promise.reject(gone ? processAlreadyFinished() : error);
    }
  }

  async delete(): Promise<void> {
    if (this.status() === "running") throw notStopped(this.#id, "running");
    if (this.pid === 0) this.abandon();
    else await this.stdio.drain();
    this.stdio.close();
  }
}

function notStopped(id: string, status: TaskStatus): WrongStateError {
  return new WrongStateError({
    operation: "delete task",
    subject: id,
    reason: `it is not stopped: it is ${status}`,
    remedy: "kill it first",
  });
}
