import type { State } from "../oci/state.ts";
import type { MonitorNamespace } from "../host/namespaces.ts";
import type { Step } from "../plan/types.ts";
import type { Observer } from "./observer.ts";

/** What the steps of a container share while they are performed; descriptors that outlive a step. */
export interface PerformContext {
  observer: Observer;
  /** For hooks: the container's state as the specification defines it. */
  state: State;
  /** A socket to a creator that takes the terminal's master. */
  terminalTaker: number;
  /** The image's root, O_PATH. */
  imageRoot?: number;
  /** The monitor's root while it is built, O_PATH. */
  root?: number;
  /** Both sides of the monitor's terminal, until it is used. */
  terminal?: { master: number; slave: number };
  /** What programs may be given, by name: descriptors that steps have opened. */
  opened: Map<string, number>;
  /** A directory that has the waiter's program and nothing else, and has no other name. */
  programs?: number;
  /** The container's own namespaces, while it may be in others. */
  held?: Map<MonitorNamespace, number>;
  /** The monitor's process, in this PID namespace. */
  monitorPid?: number;
  /** The file server's process, in this PID namespace. */
  fileServerPid?: number;
  /** Has the creator unmount the container's root, and returns when it has. */
  releaseRootfs(): void;
  /** Reports to the creator that the barrier is reached. */
  announceBarrier(): void;
  /** Gives the connection to the creator another number, and returns that. */
  moveChannel(move: (fd: number) => number): number;
}

/** A handler for each kind of step. */
export type StepHandlers<Name extends Step["step"]> = {
  [Kind in Name]: (step: Extract<Step, { step: Kind }>, context: PerformContext) => void;
};

/** A descriptor by its name. @throws Error when no step has opened it: a defect of the plan */
export function openedBy({ opened }: PerformContext, name: string): number {
  const fd = opened.get(name);
  if (fd === undefined) throw new Error(`no step has opened ${name}`);
  return fd;
}
