import { writeAll } from "../../../ffi/linux.ts";
import type { Configuration } from "../../config/types.ts";
import { execInContainer, type RelayFollower } from "../../container/exec.ts";
import type { Store } from "../../container/store.ts";
import { formatError, UnsupportedError, type UruncError } from "../../errors.ts";
import { parseProcess } from "../../oci/parse.ts";
import type { Process } from "../../oci/types.ts";
import type { ShimServices } from "../daemon/services.ts";
import type { TaskIo } from "../stdio/streams.ts";
import type { TaskStdio } from "../stdio/task_stdio.ts";
import { AddedProcess } from "./child.ts";

/** What a shell exits with when it cannot execute a program that there is. */
const CANNOT_EXECUTE = 126;

/** The container that a process is added to. */
export interface GuestContainer {
  id: string;
  store: Store;
  configuration(): Promise<Configuration>;
  /** In Kubernetes: what its agent cannot do is refused as by {@linkcode RefusedExec}. */
  inPod: boolean;
}

/** A process that the agent of a container's guest runs: the child is its relay. */
export class GuestExec extends AddedProcess {
  readonly #container: GuestContainer;
  readonly #process: Process;

  /**
   * Adds one, which `start` starts.
   *
   * @param spec a `process` of the runtime specification, as JSON
   * @throws UruncError when that cannot be understood
   */
  constructor(
    services: ShimServices,
    container: GuestContainer,
    { id, spec, io }: { id: string; spec: Uint8Array; io: TaskIo },
  ) {
    super(services, id, io);
    this.#container = container;
    // What is asked for here counts, as with containerd's own shim.
    const { terminal } = io;
    this.#process = { ...parseProcess(new TextDecoder().decode(spec)), terminal };
  }

  protected override async launch(stdio: TaskStdio): Promise<void> {
    const started = await execInContainer({
      ...this.#container,
      process: this.#process,
      follower: this.#follower(),
      ...(this.io.terminal ? { terminal: { kind: "creator" } } : { stdio: stdio.stdio }),
    }).catch((error) => {
      if (!this.#container.inPod || !(error instanceof UnsupportedError)) throw error;
      return error;
    });
    if (started instanceof UnsupportedError) {
      explain(stdio, started);
      return this.abandon(CANNOT_EXECUTE);
    }
    const { pid, terminal } = started;
    this.follow(pid);
    stdio.given();
    if (terminal !== undefined) stdio.attachTerminal(terminal);
  }

  /** The relay of a process that cannot be started has exited as that process would have. */
  #follower(): RelayFollower {
    return {
      made: (pid) => this.made(pid),
      readable: (fd) => this.services.reactor.readable(fd),
      exited: async (pid) => {
        this.follow(pid);
        await this.ended;
      },
    };
  }
}

/**
 * Stands for a process that a guest without an agent cannot have, in Kubernetes: it says so and exits with
 * 126. The kubelet takes an error of the runtime for no result, so that a probe would neither succeed nor fail.
 *
 * @see kubernetes, pkg/kubelet/prober/worker.go, "Prober error, throw away the result"
 */
export class RefusedExec extends AddedProcess {
  readonly #reason: UruncError;

  constructor(services: ShimServices, id: string, io: TaskIo, reason: UruncError) {
    super(services, id, io);
    this.#reason = reason;
  }

  protected override launch(stdio: TaskStdio): Promise<void> {
    explain(stdio, this.#reason);
    this.abandon(CANNOT_EXECUTE);
    return Promise.resolve();
  }
}

/** What is written before such an exit, to where errors go. The files are closed then. */
function explain(stdio: TaskStdio, reason: UruncError): void {
  const { terminal } = stdio.io;
  const [, stdout, stderr] = stdio.stdio;
  const text = `urunc: ${formatError(reason)}${terminal ? "\r\n" : "\n"}`;
  // A pipe that is empty takes so much without waiting (pipe(7)).
  writeAll(terminal ? stdout : stderr, new TextEncoder().encode(text));
  stdio.close();
}
