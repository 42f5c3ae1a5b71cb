import { close, O_RDWR, open } from "../../../ffi/linux.ts";
import { cgroupsOfProcess } from "../../cgroups/of_process.ts";
import { UruncError } from "../../errors.ts";
import { notUndone } from "../../container/undo.ts";
import type { ShimServices } from "../daemon/services.ts";
import type { TaskIo } from "../stdio/streams.ts";
import { openStdio, type TaskStdio } from "../stdio/task_stdio.ts";
import { processAlreadyFinished } from "../../protocol/ttrpc/status.ts";
import { AddedProcess, ChildProcess, notStopped } from "./child.ts";
import { ConsoleSocket } from "./console_socket.ts";
import { OciRuntime } from "./oci_runtime.ts";
import type { Task, TaskProcess, TaskStatus } from "./task.ts";
import type { TaskRequest } from "./unikernel.ts";

/** What runtimes say when there is nothing left to signal. */
const FINISHED = /process already finished|container not running|no such process|does not exist/;

/** What the processes of one container share. */
interface Container {
  id: string;
  bundle: string;
  services: ShimServices;
  runtime: OciRuntime;
}

/** A command of the runtime that starts a process. */
interface Launch {
  command: string[];
  /** Where the runtime writes the process's id. */
  pidFile: string;
  /** Arguments after the options. */
  rest: string[];
  /** The process runs. */
  started(pid: number): void;
}

/** Runs a command that starts a process, which then is a child of the shim. */
async function launch(
  { services, runtime }: Container,
  stdio: TaskStdio,
  { command, pidFile, rest, started }: Launch,
): Promise<void> {
  const { terminal } = stdio.io;
  using socket = terminal ? new ConsoleSocket() : undefined;
  const console = socket === undefined ? [] : ["--console-socket", socket.path];
  const nothing = open("/dev/null", O_RDWR);
  // A child may exit before its pid is known.
  using _hold = services.reaper.hold();
  try {
    const files = terminal ? [nothing, nothing, nothing] as const : stdio.stdio;
    await runtime.run([...command, "--pid-file", pidFile, ...console, ...rest], files);
    stdio.given();
    started(Number(Deno.readTextFileSync(pidFile)));
    if (socket !== undefined) stdio.attachTerminal(socket.take());
  } finally {
    close(nothing);
  }
}

/** A container that is not a guest: an OCI runtime runs it, with all its features. */
export class DelegatedTask extends ChildProcess implements Task {
  readonly #container: Container;
  readonly #stdio: TaskStdio;
  readonly id: string;
  readonly bundle: string;
  #cgroups: string[] = [];
  #isStarted = false;
  #isPaused = false;

  private constructor(container: Container, stdio: TaskStdio) {
    super(container.services, stdio.io);
    this.#container = container;
    this.#stdio = stdio;
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
    const container = { id, bundle, services, runtime };
    const task = new DelegatedTask(container, stdio);
    try {
      await launch(container, stdio, {
        command: ["create", "--bundle", bundle],
        pidFile: `${bundle}/init.pid`,
        rest: [
          ...(noPivotRoot ? ["--no-pivot"] : []),
          ...(noNewKeyring ? ["--no-new-keyring"] : []),
          id,
        ],
        started: (pid) => task.follow(pid),
      });
      task.#cgroups = cgroupsOfProcess(task.pid);
      return task;
    } catch (error) {
      stdio.close();
      await runtime.deleteIfThere(id).catch((failure) => {
        throw notUndone({ program, root, id }, failure, error);
      });
      throw error;
    }
  }

  resize(columns: number, rows: number): void {
    this.#stdio.resize(columns, rows);
  }

  closeInput(): void {
    this.#stdio.closeInput();
  }

  status(): TaskStatus {
    if (this.exit !== undefined) return "stopped";
    if (this.#isPaused) return "paused";
    return this.#isStarted ? "running" : "created";
  }

  async start(): Promise<void> {
    await this.#container.runtime.run(["start", this.id]);
    this.#isStarted = true;
  }

  async kill(signal: number, all: boolean): Promise<void> {
    const flags = all ? ["--all"] : [];
    try {
      await this.#container.runtime.run(["kill", ...flags, this.id, String(signal)]);
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
    if (this.exit !== undefined) await this.#stdio.drain();
    await this.#container.runtime.run(["delete", "--force", this.id]);
    await this.ended;
    this.#stdio.close();
  }

  async pause(): Promise<void> {
    await this.#container.runtime.run(["pause", this.id]);
    this.#isPaused = true;
  }

  async resume(): Promise<void> {
    await this.#container.runtime.run(["resume", this.id]);
    this.#isPaused = false;
  }

  async update(resources: Uint8Array): Promise<void> {
    await this.#container.runtime.run(
      ["update", "--resources", "-", this.id],
      undefined,
      resources as Uint8Array<ArrayBuffer>,
    );
  }

  async pids(): Promise<number[]> {
    return JSON.parse(await this.#container.runtime.run(["ps", "--format", "json", this.id])) ?? [];
  }

  cgroupPaths(): string[] {
    return this.#cgroups;
  }

  exec(id: string, spec: Uint8Array, io: TaskIo): Promise<TaskProcess> {
    return Promise.resolve(new DelegatedExec(this.#container, id, spec, io));
  }
}

/** A process that was added to such a container. */
class DelegatedExec extends AddedProcess {
  readonly #container: Container;
  readonly #spec: Uint8Array;

  constructor(container: Container, id: string, spec: Uint8Array, io: TaskIo) {
    super(container.services, id, io);
    this.#container = container;
    this.#spec = spec;
  }

  protected override async launch(stdio: TaskStdio): Promise<void> {
    const { bundle, id } = this.#container;
    const base = `${bundle}/${this.id}`;
    const [specFile, pidFile] = [`${base}.process.json`, `${base}.pid`];
    Deno.writeFileSync(specFile, this.#spec, { mode: 0o600 });
    try {
      await launch(this.#container, stdio, {
        command: ["exec", "--process", specFile, "--detach"],
        pidFile,
        rest: [id],
        started: (pid) => this.follow(pid),
      });
    } finally {
      Deno.removeSync(specFile);
    }
  }
}
