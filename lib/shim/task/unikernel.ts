import type { Configuration } from "../../config/types.ts";
import { createContainer, type Created } from "../../container/create.ts";
import { deleteContainer } from "../../container/delete.ts";
import { endContainer, killContainer } from "../../container/kill.ts";
import { readBundle } from "../../container/prepare.ts";
import type { Stopwatch } from "../../container/timeline.ts";
import { startContainer } from "../../container/start.ts";
import { containerStatus } from "../../container/pause.ts";
import { Store } from "../../container/store.ts";
import { notUndone } from "../../container/undo.ts";
import type { IdMaps } from "../../oci/types.ts";
import { UnsupportedError, UruncError, WrongStateError } from "../../errors.ts";
import { preload } from "../../os/preload.ts";
import { isInPod } from "../../runc/kind.ts";
import type { ChildExit } from "../daemon/reaper.ts";
import type { ShimServices } from "../daemon/services.ts";
import type { TaskIo } from "../stdio/streams.ts";
import { openStdio, type TaskStdio } from "../stdio/task_stdio.ts";
import { processAlreadyFinished } from "../../protocol/ttrpc/status.ts";
import type { TaskOptions } from "./options.ts";
import type { Task, TaskExit, TaskProcess, TaskStatus } from "./task.ts";
import { SIGNAL_EXIT_BASE } from "../../os/signals.ts";

/** What a task is made from. */
export interface TaskRequest {
  id: string;
  bundle: string;
  io: TaskIo;
  options: TaskOptions;
  /** State directory, namespace included. */
  root: string;
  /** How the image's root was meant to be mounted. */
  rootReadOnly?: boolean;
  /** The root can be mounted with its owners mapped. */
  mapsRoot?: true;
  /** Makes the image's root writable, if it was meant to be, with its owners as they are to be seen here. */
  allowWriting?(owners?: IdMaps): Promise<void>;
  /** Runs since the task was asked for. */
  stopwatch?: Stopwatch;
}

/** `linux.cgroupsPath` as callers write it who leave cgroups to systemd. */
const SYSTEMD_PATH = /^[^/:]*:[^/:]*:[^/:]+$/;

/** A guest: its monitor is a child of the shim. */
export class UnikernelTask implements Task {
  readonly id: string;
  readonly bundle: string;
  readonly ended: Promise<TaskExit>;
  readonly #services: ShimServices;
  readonly #store: Store;
  readonly #stdio: TaskStdio;
  readonly #created: Created["state"];
  readonly #configuration: () => Promise<Configuration>;
  #exit?: TaskExit;

  private constructor(
    services: ShimServices,
    request: TaskRequest,
    store: Store,
    stdio: TaskStdio,
    created: Created["state"],
  ) {
    this.id = request.id;
    this.bundle = request.bundle;
    this.#services = services;
    this.#store = store;
    this.#stdio = stdio;
    this.#created = created;
    this.#configuration = () => services.configuration(request.options.configurationPath);
    this.ended = this.#wait();
  }

  /**
   * Makes the container, up to where only its start is left.
   *
   * @throws UruncError; nothing is left behind then, unless it is a NotUndoneError
   */
  static async create(services: ShimServices, request: TaskRequest): Promise<UnikernelTask> {
    const { id, io, options, root } = request;
    const { rootReadOnly, mapsRoot } = request;
    const bundle = { ...readBundle(request.bundle), rootReadOnly, mapsRoot };
    const { process, linux } = bundle.spec;
    if (process.terminal !== io.terminal) throw terminalMismatch(process.terminal);
    const store = new Store(root);
    const stdio = await openStdio(services, id, io);
    request.stopwatch?.did("read bundle");
    let task: UnikernelTask | undefined;
    // Hooks are children too, and are waited for where they are started.
    using _hold = services.reaper.hold();
    try {
      const created = await createContainer({
        id,
        bundle,
        store,
        configuration: () => services.configuration(options.configurationPath),
        systemdCgroup: options.systemdCgroup || SYSTEMD_PATH.test(linux.cgroupsPath ?? ""),
        newKeyring: !options.noNewKeyring,
        observer: services.observer,
        warn: (warning) => services.log.warning(`${id}: ${warning}`),
        terminal: io.terminal ? { kind: "creator" } : undefined,
        stdio: io.terminal ? undefined : stdio.stdio,
        spawn: (pidNamespace, _, terminal) => services.inits.take(pidNamespace, terminal),
        allowWriting: request.allowWriting,
        meanwhile: preloadRest,
        stopwatch: request.stopwatch,
      });
      task = new UnikernelTask(services, request, store, stdio, created.state);
      stdio.given();
      if (created.terminal !== undefined) stdio.attachTerminal(created.terminal);
      return task;
    } catch (error) {
      stdio.close();
      if (task !== undefined) await task.#undo(error);
      throw error;
    }
  }

  get io(): TaskIo {
    return this.#stdio.io;
  }

  get pid(): number {
    return this.#created.pid!;
  }

  get exit(): TaskExit | undefined {
    return this.#exit;
  }

  status(): TaskStatus {
    if (this.#exit !== undefined) return "stopped";
    const status = containerStatus(this.#store.open(this.id).readState() ?? this.#created);
    return status === "creating" ? "created" : status;
  }

  async start(): Promise<void> {
    using _hold = this.#services.reaper.hold();
    const { warnings } = await startContainer(this.#store, this.id);
    this.#warn(warnings);
  }

  async kill(signal: number, all: boolean): Promise<void> {
    try {
      await killContainer(this.#store, this.id, signal, { all });
    } catch (error) {
      if (error instanceof WrongStateError && this.#exit !== undefined) {
        throw processAlreadyFinished();
      }
      throw error;
    }
  }

  resize(columns: number, rows: number): void {
    this.#stdio.resize(columns, rows);
  }

  closeInput(): void {
    this.#stdio.closeInput();
  }

  async delete(): Promise<void> {
    const status = this.status();
    if (status === "running" || status === "paused") {
      throw new WrongStateError({
        operation: "delete task",
        subject: this.id,
        reason: `container is not stopped: it is ${status}`,
        remedy: "kill it first",
      });
    }
    if (this.#exit !== undefined) await this.#stdio.drain();
    using _hold = this.#services.reaper.hold();
    this.#warn(await deleteContainer(this.#store, this.id, true));
    await this.ended;
    this.#stdio.close();
  }

  /** Takes back what `createContainer` has made. Throws NotUndoneError. */
  async #undo(cause: unknown): Promise<void> {
    try {
      this.#warn(await deleteContainer(this.#store, this.id, true));
    } catch (error) {
      throw notUndone({ root: this.#store.root, id: this.id }, error, cause);
    }
    await this.ended;
  }

  async pause(): Promise<void> {
    const { pauseContainer } = await import("../../container/pause.ts");
    await pauseContainer(this.#store, this.id);
  }

  async resume(): Promise<void> {
    const { resumeContainer } = await import("../../container/pause.ts");
    await resumeContainer(this.#store, this.id);
  }

  async update(resources: Uint8Array): Promise<void> {
    const { updateContainer } = await import("../../container/update.ts");
    const { parseUpdate } = await import("../../oci/parse_resources.ts");
    const changes = parseUpdate(resources, "of the request");
    const { log } = this.#services;
    await updateContainer(
      this.#store,
      this.id,
      changes,
      (warning) => log.warning(`${this.id}: ${warning}`),
    );
  }

  async pids(): Promise<number[]> {
    const { cgroupProcesses } = await import("../../cgroups/processes.ts");
    return cgroupProcesses(this.#created.cgroupPaths);
  }

  cgroupPaths(): string[] {
    return this.#created.cgroupPaths;
  }

  async exec(id: string, spec: Uint8Array, io: TaskIo): Promise<TaskProcess> {
    const { stop, annotations } = this.#created;
    const inPod = isInPod({ annotations });
    const { GuestExec, RefusedExec } = await import("./guest_exec.ts");
    if (stop?.agent) {
      const container = {
        id: this.id,
        store: this.#store,
        configuration: this.#configuration,
        inPod,
      };
      return new GuestExec(this.#services, container, { id, spec, io });
    }
    const reason = withoutAgent(this.id);
    if (!inPod) throw reason;
    return new RefusedExec(this.#services, id, io, reason);
  }

  async ranOutOfMemory(): Promise<boolean> {
    const { ranOutOfMemory } = await import("../../container/console.ts");
    return ranOutOfMemory(this.#store.open(this.id));
  }

  async #wait(): Promise<TaskExit> {
    try {
      const ended = await this.#services.reaper.wait(this.pid);
      await this.#endRest();
      this.#exit = { status: this.#statusOf(ended), at: ended.at };
    } catch (error) {
      this.#services.log.error(`wait for process ${this.pid}`, error);
      await this.#endRest();
      this.#exit = { status: 255, at: new Date() };
    }
    return this.#exit;
  }

  /**
   * Nothing of it may keep running once its exit was reported: where others share its PID namespace, a
   * monitor can outlive the waiter.
   */
  async #endRest(): Promise<void> {
    try {
      await endContainer(this.#created);
    } catch (error) {
      this.#services.log.error(`end what container ${this.id} has left`, error);
    }
  }

  #statusOf({ exitCode, signal }: ChildExit): number {
    return signal === undefined ? exitCode! : SIGNAL_EXIT_BASE + signal;
  }

  #warn(warnings: string[]): void {
    for (const warning of warnings) this.#services.log.warning(`${this.id}: ${warning}`);
  }
}

/** What reports the task to containerd, and what it asks for next. */
function preloadRest(): void {
  preload("../events/publisher.ts");
  preload("../events/forward.ts");
  preload("../../protocol/containerd/events.ts");
  preload("../../protocol/protobuf/writer.ts");
  preload("../../os/mutex.ts");
  preload("../oom/watch.ts");
  preload("../../container/start.ts");
  preload("../../container/delete.ts");
}

function withoutAgent(id: string): UnsupportedError {
  return new UnsupportedError({
    operation: "exec in container",
    subject: id,
    reason: "its guest has no agent, and so no processes that another could join",
    remedy: "use the guest's console, or a service that the guest offers on its network",
  });
}

function terminalMismatch(configured: boolean): UruncError {
  return new UruncError({
    operation: "create container",
    reason:
      `process.terminal is ${configured} in config.json, and ${!configured} in containerd's request`,
  });
}
