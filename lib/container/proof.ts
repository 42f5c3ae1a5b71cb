import { close, O_RDONLY, open } from "../../ffi/linux.ts";
import { readAppArmorProfile } from "../host/apparmor.ts";
import {
  compareIdentity,
  type ExpectedIdentity,
  formatIdentity,
  GIVES_UP,
  type Identity,
  readIdentity,
} from "../host/identity.ts";
import {
  compareIdMaps,
  type ExpectedUserNamespace,
  readIdMaps,
  readNamespaceOwner,
} from "../host/id_maps.ts";
import {
  compareNamespaces,
  FILE_SERVER_NAMESPACES,
  type OwnNamespace,
  readNamespaces,
} from "../host/namespaces.ts";
import type { ContainerState } from "./state.ts";

/** Which of a container's processes. */
export type Role = "waiter" | "monitor" | "files";

/** What was found out about a process. */
export interface Proof {
  identity: Identity;
  /** A sentence for each way in which it is not what was planned. */
  differences: string[];
}

/** A process to be proven. */
export interface Proven {
  pid: number;
  role: Role;
  /** Whether the container was started: monitor and file server are executed then. */
  started: boolean;
}

/**
 * Compares a process of a container with its plan: identity and namespaces, with their mappings of ids; and the AppArmor profile,
 * which confines from an exec on.
 *
 * @throws an error of Deno or LinuxError when it does not exist (any more); HostError when its state
 *   cannot be understood
 */
export function readProof(state: ContainerState, process: Proven): Proof {
  const { pid, role } = process;
  waitForExec(pid);
  const identity = readIdentity(pid);
  const differences = [
    ...compareIdentity(identity, expectedOf(state, process)),
    ...differentNamespaces(state, pid, role),
    ...differentUserNamespace(namespaceOf(state, role), pid),
    ...role === "files" ? [] : differentProfile(state, pid),
  ];
  return { identity, differences: differences.map((it) => `${role}: ${it}`) };
}

/** The part of the state that says what was proven. */
export function provenState(proofs: ReadonlyMap<Role, Proof>): Partial<ContainerState> {
  const [waiter, monitor, files] = [
    proofs.get("waiter"),
    proofs.get("monitor"),
    proofs.get("files"),
  ];
  return {
    ...waiter && { waiterIdentity: formatIdentity(waiter.identity) },
    ...monitor && { identity: formatIdentity(monitor.identity) },
    ...files && { filesIdentity: formatIdentity(files.identity) },
  };
}

/**
 * What is written down of seccomp filters is about the waiter at the barrier, which has init's. Once started it
 * has one of its own above it. Monitor and file server get their only one when they are executed. Then a file
 * server gives up capabilities: what it keeps it has no more in every set.
 */
function expectedOf({ expectedIdentity, fileServer }: ContainerState, { role, started }: Proven) {
  const { seccompFilters, ...planned } = role === "files" ? fileServer! : expectedIdentity!;
  const identity = role === "files" && started ? withoutGivenUp(planned) : planned;
  if (seccompFilters === undefined || role !== "waiter" && !started) return identity;
  const above = role === "waiter" && started ? 1 : 0;
  return { ...identity, seccompFilters: seccompFilters + above };
}

function withoutGivenUp(planned: ExpectedIdentity): ExpectedIdentity {
  const capabilities = planned.capabilities.filter((it) => it !== GIVES_UP);
  return { ...planned, capabilities, mayHaveLess: true };
}

/** Which user namespace a process is to be in that is not the container's own process's. */
function namespaceOf(
  { userNamespace, fileServerNamespace }: ContainerState,
  role: Role,
): ExpectedUserNamespace | undefined {
  if (role === "files") return fileServerNamespace;
  return role === "monitor" ? userNamespace : undefined;
}

/** The maps are a namespace's own, which a name of one that was just made says nothing of. */
function differentUserNamespace(
  userNamespace: ExpectedUserNamespace | undefined,
  pid: number,
): string[] {
  if (userNamespace === undefined) return [];
  const { name, owner } = userNamespace;
  const actual = readNamespaces(pid).user;
  const actualOwner = owner === undefined ? undefined : readNamespaceOwner(pid);
  return [
    ...name === undefined || name === actual
      ? []
      : [`user namespace is ${actual}, planned was ${name}`],
    ...owner === actualOwner
      ? []
      : [`user namespace is uid ${actualOwner}'s, planned was uid ${owner}'s`],
    ...compareIdMaps(readIdMaps(pid), userNamespace),
  ];
}

/** A container of an older urunc has none written down. */
function differentNamespaces(state: ContainerState, pid: number, role: Role): string[] {
  const { namespaces } = state;
  if (namespaces === undefined) return [];
  const own = ownNamespaces(state, namespaces, role);
  const { container } = namespaces;
  // The runtime's are of interest only where there are any of its own.
  const runtime = own.length === 0 ? container : readNamespaces(Deno.pid);
  return compareNamespaces(readNamespaces(pid), { container, runtime, own });
}

function ownNamespaces(
  { fileServerNamespace }: ContainerState,
  { monitor }: NonNullable<ContainerState["namespaces"]>,
  role: Role,
): readonly OwnNamespace[] {
  if (role === "files") {
    return fileServerNamespace === undefined
      ? FILE_SERVER_NAMESPACES
      : [...FILE_SERVER_NAMESPACES, "user"];
  }
  return role === "monitor" ? monitor : [];
}

function differentProfile({ expectedIdentity }: ContainerState, pid: number): string[] {
  const planned = expectedIdentity!.apparmorProfile;
  if (planned === undefined) return [];
  const actual = readAppArmorProfile(pid);
  return actual === planned ? [] : [`AppArmor profile is ${actual}, planned was ${planned}`];
}

/**
 * Who executes something in another process continues before its new credentials take effect: an end of
 * file or a return of posix_spawn(3) alone does not mean that /proc/PID/status has them. Opening `environ`
 * takes the lock that execve holds until it is through (exec_update_lock: fs/exec.c, mm_access in
 * kernel/fork.c).
 */
function waitForExec(pid: number): void {
  close(open(`/proc/${pid}/environ`, O_RDONLY));
}
