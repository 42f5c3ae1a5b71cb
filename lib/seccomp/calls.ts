import { arch } from "../arch/arch.ts";

let numbers: ReadonlyMap<string, number> | undefined;

/** The system calls that our table knows, by name. */
export function callNumbers(): ReadonlyMap<string, number> {
  return numbers ??= numbersIn(arch.calls.names());
}

/** @param names by number, as `lib/arch` has them: each text has those from its key on */
export function numbersIn(names: Readonly<Record<number, string>>): ReadonlyMap<string, number> {
  return new Map(
    Object.entries(names).flatMap(([first, text]) =>
      text.trim().split(/\s+/).map((name, index): [string, number] => [
        name,
        Number(first) + index,
      ])
    ),
  );
}

/** Whether our table has a system call of that name. */
export function isCall(name: string): boolean {
  return callNumbers().has(name);
}

/**
 * @returns the processor's number of a system call
 * @throws {TypeError} when there is no call of that name
 */
export function callNumber(name: string): number {
  const number = callNumbers().get(name);
  if (number === undefined) throw new TypeError(`there is no system call ${name}`);
  return number;
}

/**
 * What only an attacker calls: neither a monitor nor a library of one does, also not to find out whether
 * it could. Tracing and memory of others, keyrings, programs for the kernel, another kernel, modules,
 * mounts.
 */
export const FATAL_CALLS: readonly string[] = [
  ...["ptrace", "process_vm_readv", "process_vm_writev"],
  ...["keyctl", "add_key", "request_key"],
  "bpf",
  ...["kexec_load", "kexec_file_load"],
  ...["create_module", "init_module", "finit_module", "delete_module"],
  ...["mount", "umount2", "pivot_root", "mount_setattr"],
  ...["open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick"],
];

/**
 * What libraries try first and do without: they are answered as by a kernel that does not have it, in
 * every mode. The C library makes threads by clone3(2), whose flags are in memory, where no filter sees
 * them, and then by clone(2); QEMU has threads or linux-aio in place of io_uring(7). A file in memory could
 * be written and then mapped as code, like a library: QEMU only tries out whether there could be one
 * (qemu_memfd_check()); tables of monitors that need one allow it.
 */
export const ABSENT_CALLS: readonly string[] = ["clone3", "io_uring_setup", "memfd_create"];
