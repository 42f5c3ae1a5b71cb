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
  calls: CallFacts;
  kvm: KvmFacts;
  qemu: QemuFacts;
  firecracker: FirecrackerFacts;
  solo5: Solo5Facts;
}

/** Facts for a Linux guest's command line. */
export interface LinuxFacts {
  /** The console that monitors give a guest: `console=`. */
  console: string;
  /** What its kernels' own compressed form is called. */
  imageName: string;
  /**
   * Reads the header of that form.
   *
   * @param head the file's first bytes
   * @returns undefined for any other file; `memoryEnd` is where the memory ends that the kernel needs before
   *   it runs, in bytes, where it says so
   */
  readImage(head: Uint8Array): { memoryEnd?: number } | undefined;
  /**
   * Reads what is in that form.
   *
   * @param head the file's first 64 KiB
   * @returns undefined for any other file; the kernel's release, as uname(2) has it, and where in the file
   *   the compressed kernel is, where the header says so
   */
  readImageContent(
    head: Uint8Array,
  ): { release?: string; payload?: { offset: number; length: number } } | undefined;
  /** COMMAND_LINE_SIZE (asm/setup.h) in bytes, the closing NUL included. */
  commandLineBytes: number;
  /**
   * Names that a kernel takes from its command line for itself, with `_` for `-` and white space in
   * between. A function, so that the list is loaded only where it is asked for (lib/build/bundle.ts).
   */
  parameterNames(): string;
}

/** System calls of its programs, for filters (seccomp(2)). */
export interface CallFacts {
  /** AUDIT_ARCH_* (linux/audit.h) of the calls that programs of ours make. */
  auditArchitecture: number;
  /** From this number on, the same architecture has the calls of another kind of program. */
  foreignFrom: number;
  /**
   * Names by number: each text has the names from its key on, separated by white space. A function, so
   * that the list is loaded only where it is asked for.
   */
  names(): Readonly<Record<number, string>>;
  /** Of programs of another kind that its kernels run as well, for profiles of theirs. */
  compat: {
    /** What libseccomp, and so config.json, calls them: seccomp_arch_add(3). */
    profileName: string;
    auditArchitecture: number;
    names(): Readonly<Record<number, string>>;
  };
}

/** What is particular to its KVM. */
export interface KvmFacts {
  /** Requests of ioctl(2) that a monitor makes: numbers of linux/kvm.h. */
  requests(monitor: "qemu" | "firecracker" | "hvt"): number[];
  /** What monitors cannot do without, as KVM_CHECK_EXTENSION takes it. */
  extensions: readonly { name: string; number: number; why: string }[];
  /** The kernel modules, for a person. */
  modules: string;
  /** What makers call the processor's virtualisation. */
  feature: string;
  /** Flags of /proc/cpuinfo, one of which a processor with it has. */
  processorFlags: readonly string[];
  /** The flag of a processor that is itself a virtual machine's. */
  guestFlag: string;
}

/** QEMU's emulator of it. */
export interface QemuFacts {
  /** Which kernels it starts, as text for an error. */
  kernels: string;
  /** How to make a multiboot kernel of 64 bits one of 32, which is all that it starts. */
  convertToElf32: string;
  binaryNames: readonly string[];
  debianPackage: string;
  /** `-machine`, of which the first is the type. */
  machine: readonly string[];
  /** Parameters that a Linux kernel needs there. */
  linuxParameters: readonly string[];
  /** What a guest can start in, by the names that the configuration uses. */
  firmware: Readonly<Record<string, Firmware>>;
  /** Where distributions keep accelerators that they build as modules. */
  modulePaths: readonly string[];
  /** Where distributions keep what the machine loads besides: directories for `-L`. */
  romDirectories: readonly string[];
  /** `-device` by which a guest ends with a code; QEMU's own is 2 * code + 1 then. */
  exitDevice: string;
  /** `-device` by which a guest says that it panicked. */
  panicDevice: string;
  /**
   * `-cpu` of a guest that runs on the host's processor.
   *
   * @param vendor the processor's maker, as /proc/cpuinfo names it; undefined when it does not
   */
  hostProcessor(vendor?: string): string;
}

/** Firmware that a monitor can start a guest in. */
export interface Firmware {
  /**
   * Whether it is a whole BIOS, which assigns addresses to PCI devices and reserves memory for itself; or
   * only starts the kernel that the monitor has loaded.
   */
  isBios: boolean;
  /** Where distributions keep it, in the order in which they are tried. */
  paths: readonly string[];
  /** Debian's package, for the error that says it is missing. */
  debianPackage: string;
}

/** Firecracker for it. */
export interface FirecrackerFacts {
  /** Parameters that a Linux kernel needs there. */
  linuxParameters: readonly string[];
  /** Its own limit of a guest's command line in bytes, the closing NUL included. */
  commandLineBytes: number;
  /** `BootingMonitor.reservesVideoMemory`. */
  reservesVideoMemory: boolean;
}

/** Solo5's hvt for it; memory in MiB. */
export interface Solo5Facts {
  minimumMemoryMiB: number;
  maximumMemoryMiB: number;
  /** Guest memory comes in multiples of this. */
  memoryStepMiB: number;
}
