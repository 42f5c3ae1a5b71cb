/**
 * What `urunc state` prints, and what hooks read on their standard input.
 *
 * @see https://github.com/opencontainers/runtime-spec/blob/v1.2.0/runtime.md#state
 */
export interface State {
  /** Version of the specification that this document follows. */
  ociVersion: string;
  id: string;
  status: Status;
  /** Of the container's process, in the runtime's PID namespace; present when created or running. */
  pid?: number;
  /** Absolute path of the bundle directory. */
  bundle: string;
  annotations: Record<string, string>;
}

/** The specification's own, and `paused`, which it lets a runtime add and callers know from runc. */
export type Status = "creating" | "created" | "running" | "paused" | "stopped";
