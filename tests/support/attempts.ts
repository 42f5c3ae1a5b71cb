/** What the double's command `attack` tried (fixtures/double/attempts.h), and what came of it. */
import { doubleTable } from "./double.ts";
import { agentDoubleContainer, Container, type ContainerOptions } from "./runtime.ts";
import { Scope } from "./scope.ts";

/** An attempt's result: 0 is success; a signal means that a filter ended the process. */
export interface Attempt {
  attempt: string;
  errno?: number;
  signal?: number;
}

/** errno.h: what counts as a refusal. */
const REFUSED = {
  EPERM: 1,
  ENOENT: 2,
  EBADF: 9,
  EACCES: 13,
  /** Hard links do not lead from one mount to another. */
  EXDEV: 18,
  /** Its own program is busy: the kernel says so before it looks at a mount that is read-only. */
  ETXTBSY: 26,
  EROFS: 30,
  ENOSYS: 38,
  EAFNOSUPPORT: 97,
} as const;

/** The errnos with which the kernel refuses what a process lacks the privilege for. */
const UNPRIVILEGED: readonly (number | undefined)[] = [REFUSED.EPERM, REFUSED.EACCES];

/** A filter's answer, and what a program gets that uses a call which the kernel was built without. */
export const SIGSYS = 31;
const SIGSEGV = 11;

/** What only a filter of system calls refuses. */
export const LEFT_TO_A_FILTER = [
  ...["unshare_user", "clone_user", "clone3_user", "ptrace_trace_me", "io_uring", "user_fault_fd"],
  ...["add_key", "user_keyring", "join_keyring", "shared_memory", "semaphores", "message_queue"],
  ...["personality", "map_write_execute", "protect_write_execute", "map_memory_file"],
  "call_i386",
  ...["socket_unix", "socket_pair", "bind_abstract", "socket_inet", "socket_inet_datagram"],
  ...["socket_inet6", "socket_netlink", "socket_netfilter", "socket_vsock"],
];

/** What kills a process that tries it: lib/seccomp/calls.ts. */
export const FATAL = [
  ...["mount_tmpfs", "mount_proc", "remount_writable", "set_mount_attributes", "unmount"],
  ...["pivot_root", "open_file_system", "clone_mount"],
  ...["ptrace_attach", "ptrace_seize", "ptrace_trace_me", "read_memory", "write_memory"],
  ...["load_kernel", "load_module", "load_module_file", "unload_module", "make_bpf_map"],
  ...["add_key", "user_keyring", "join_keyring", "call_i386", "call_x32"],
];

/** True unless it did something. */
export function isRefused({ errno, signal }: Attempt): boolean {
  if (signal !== undefined) return signal === SIGSYS || signal === SIGSEGV;
  return Object.values<number | undefined>(REFUSED).includes(errno);
}

/** The names of those attempts. */
export function namesOf(
  attempts: readonly Attempt[],
  which: (attempt: Attempt) => boolean,
): string[] {
  return attempts.filter(which).map(({ attempt }) => attempt);
}

/** True when it was refused to a process because of what that lacks. */
export function lacksPrivilege({ errno }: Attempt): boolean {
  return UNPRIVILEGED.includes(errno);
}

/**
 * @param output of the double
 * @returns what is complete, and the name of the attempt during which the double was killed
 */
export function parseAttempts(output: string): { attempts: Attempt[]; killedBy?: string } {
  const lines = output.split("\n").filter((it) => it.startsWith('{"attempt"'));
  const cut = lines.findIndex((it) => !it.endsWith("}"));
  const complete = cut < 0 ? lines : lines.slice(0, cut);
  const attempts = complete.map((it) => JSON.parse(it));
  if (cut < 0) return { attempts };
  const [, killedBy] = /^\{"attempt":"(\w+)"/.exec(lines[cut]!) ?? [];
  return { attempts, killedBy };
}

/** A container whose monitor attacks. */
export interface Attacker extends ContainerOptions {
  /** The monitor that the double takes the place of; `qemu` by default. */
  monitor?: "qemu" | "firecracker" | "hvt" | "spt";
  /** Its guest has an agent: Firecracker only. */
  agent?: true;
  /** Lines of the operator's configuration; emulation by default. */
  configuration?: string;
  /** Calls that the filter allows besides the monitor's. */
  calls?: string[];
}

/**
 * All attempts of a monitor in a container. A filter that lets it make no child and kills it for an
 * attempt costs one more container, in which the double goes on behind that attempt.
 */
export async function attemptsIn(attacker: Attacker = {}): Promise<Attempt[]> {
  const all: Attempt[] = [];
  let after = "";
  while (true) {
    const { attempts, killedBy } = parseAttempts(await attackOnce(after, attacker));
    all.push(...attempts);
    if (killedBy === undefined) return all;
    all.push({ attempt: killedBy, signal: SIGSYS });
    after = ` ${killedBy}`;
  }
}

async function attackOnce(after: string, attacker: Attacker): Promise<string> {
  await using scope = new Scope();
  const container = await prepare(scope, `attack${after}`, attacker);
  await container.mustStart();
  await container.waitForStatus("stopped");
  const output = attacker.agent ? await consoleOf(container) : container.output();
  if (output.includes('{"attack":"done"}') || parseAttempts(output).killedBy) return output;
  throw new Error(`the attack did not end: ${output}; errors: ${container.errors()}`);
}

async function consoleOf(container: Container): Promise<string> {
  return (await container.urunc(["logs", "--console", container.id])).stdout;
}

async function prepare(scope: Scope, command: string, attacker: Attacker): Promise<Container> {
  const { monitor = "qemu", configuration = 'accelerator = "tcg"', calls = [], agent, ...options } =
    attacker;
  const config = `${await scope.temporaryDirectory("config")}/config.toml`;
  await Deno.writeTextFile(config, `${configuration}\n${await doubleTable(monitor, calls)}`);
  if (agent) return await agentDoubleContainer(scope, command, { ...options, config });
  const isLinux = monitor === "firecracker";
  return await Container.prepare(scope, {
    unikernelType: isLinux ? "linux" : "elf",
    args: isLinux ? ["/init", ...command.split(" ")] : [command],
    ...options,
    unikernel: { hypervisor: monitor, ...options.unikernel },
    config,
  });
}
