/**
 * What differs between processors, in one place: all of it is in the one {@linkcode Architecture} that
 * `arch.ts` chooses, and a lint finds its words elsewhere in lib/. Only these are not here:
 *
 * - `ffi/constants/syscall.ts`, numbers of system calls, and `EPOLL_EVENT` in `ffi/structs.ts`: ffi/ has
 *   what the C library's headers say, and tests that compare it with them;
 * - machine code: the C sources below `lib/build/` and what is compiled from them.
 */
export interface Architecture {
  /** What people call it. */
  name: string;
  /** What images and registries call it: GOARCH, https://go.dev/doc/install/source#environment. */
  imageName: string;
  /** `e_machine` (elf(5)) of its programs. */
  elfMachine: number;
  /** `e_machine` of other kernels that it boots. */
  otherKernelMachines: readonly number[];
  /** The npm package that has Deno for it. */
  denoPackage: string;
  linux: LinuxFacts;
  kvm: KvmFacts;
}

/** What a Linux guest on it is told. */
export interface LinuxFacts {
  /** The console that monitors give a guest: `console=`. */
  console: string;
  /** COMMAND_LINE_SIZE (asm/setup.h) in bytes, the closing NUL included. */
  commandLineBytes: number;
  /**
   * Names that a kernel takes from its command line for itself, with `_` for `-` and white space in
   * between. A function, so that the list is loaded only where it is asked for (lib/build/bundle.ts).
   */
  parameterNames(): string;
}

/** What is particular to its KVM. */
export interface KvmFacts {
  /** What monitors cannot do without, as KVM_CHECK_EXTENSION takes it. */
  extensions: readonly { name: string; number: number; why: string }[];
  /** The kernel modules, for a person. */
  modules: string;
  /** What makers call the processor's virtualisation. */
  feature: string;
}
