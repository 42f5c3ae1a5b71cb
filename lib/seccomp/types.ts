/**
 * Something that one argument of a system call must be. Only its lower 32 bits count: the arguments that
 * are compared are an int, or flags that the kernel takes no more of.
 */
export type Condition =
  /** One of these values. */
  | { argument: number; among: readonly number[] }
  /** Of the bits of the mask exactly these are set. */
  | { argument: number; mask: number; equals: number };

/** What a container has that only some have, and that its processes make other system calls for. */
export type Feature =
  /** The guest's instructions run by KVM. */
  | "kvm"
  /** The monitor translates the guest's instructions to code of its own. */
  | "translation"
  /** The monitor opens the tap by its name. */
  | "namedTap"
  /** The guest has an agent, to which the container's process talks. */
  | "agent"
  /** The container's process asks a name server for that agent. */
  | "dns"
  /** The guest's agent makes connections of vsock, which the monitor makes to sockets of its root. */
  | "vsock"
  /** The guest sees files of the host, which another process serves. */
  | "files"
  /** The host's kernel moves the guest's packets. */
  | "vhost"
  /** What serves them acts as any of the guest's users. */
  | "owners";

/** System calls that are allowed for one reason. */
export interface CallGroup {
  why: string;
  /** Names, separated by spaces. */
  calls: string;
  /** All of them must hold; a call that several groups have is allowed when one of them allows it. */
  where?: readonly Condition[];
  /** Only for containers with this feature. */
  when?: Feature;
  /** They are not made, in every mode, and return 0 as if they were, unless another group allows them. */
  omitted?: true;
}

/** Whose calls a table has: a monitor, the container's process, that of a further process in its guest, or
 * init from the barrier on. */
export type TableName =
  | "qemu"
  | "firecracker"
  | "hvt"
  | "spt"
  | "virtiofsd"
  | "waiter"
  | "relay"
  | "init";

/**
 * What happens to a call that is not allowed.
 *
 * - `on`: it fails with EPERM; with ENOSYS when it is a later kernel's, so that libraries fall back; what
 *   only an attacker calls kills the process
 * - `log`: it is allowed, and the kernel's log has it
 * - `strict`: it kills the process
 */
export type FilterMode = "on" | "log" | "strict";

/** A filter of system calls, as a plan has it. */
export interface CallFilter {
  /** Calls of these tables are allowed. */
  tables: TableName[];
  features: Feature[];
  mode: FilterMode;
  /** Names of calls that the operator allows besides. */
  allowed: string[];
}
