/**
 * The programs whose machine code is committed, so that the executable and the tests need no compiler.
 * To add one: its C source, an entry below, `deno task native`.
 */

/** A compiler by the Debian packages that decide the bytes it writes. */
export interface Compiler {
  /** The command: one that names its version, not the distribution's default. */
  program: string;
  packages: readonly string[];
  /** Variables that it is run with. */
  env?: Readonly<Record<string, string>>;
}

/** Where a program's bytes are committed; paths are relative to the repository. */
export type Output =
  /** A module that exports them. */
  | { module: string; constant: string }
  /** The file itself, executable. */
  | { file: string };

/** One committed program. */
export interface NativeProgram {
  name: string;
  compiler: Compiler;
  /** Relative to the repository. The compiler runs there, so no path of the machine gets into the result. */
  directory: string;
  /** Arguments of the compiler: source files of the directory. They may include others, of other programs, too. */
  sources: readonly string[];
  flags: readonly string[];
  output: Output;
}

/** What `apt-get install gcc` installs on Debian 13. */
const GCC: Compiler = { program: "gcc-14", packages: ["gcc-14", "binutils"] };

/** The same with Debian's static C library, musl. */
const MUSL_GCC: Compiler = {
  program: "musl-gcc",
  packages: [...GCC.packages, "musl-dev"],
  // What the wrapper runs (/usr/bin/musl-gcc).
  env: { REALGCC: GCC.program },
};

/** No C library, and nothing that a distribution's gcc turns on by itself. */
const FREESTANDING = [
  "-Os",
  "-Wall",
  "-Wextra",
  "-Werror",
  "-ffreestanding",
  "-fno-stack-protector",
  "-fno-stack-clash-protection",
  "-fcf-protection=none",
  "-fno-asynchronous-unwind-tables",
  // These make calls of memcpy, memset and strlen, which are not there.
  "-fno-tree-loop-distribute-patterns",
  "-fno-builtin",
  "-fno-ident",
  "-nostdlib",
  "-static",
  "-Wl,--build-id=none",
];

const STUB_FLAGS = [
  "-std=c17",
  ...FREESTANDING,
  // Runs at any address, without relocation; the base instruction set only.
  "-fPIE",
  "-no-pie",
  "-mgeneral-regs-only",
  "-mno-red-zone",
  // These make tables of pointers.
  "-fno-jump-tables",
  "-fno-tree-switch-conversion",
  "-Wl,--no-warn-rwx-segments",
  // The bytes as they are loaded, without an ELF header.
  "-Wl,--oformat=binary",
  "-Wl,-T,stub.ld",
];

/** As the stub's, which is linked the same way. */
const FORK_FLAGS = STUB_FLAGS.map((flag) => flag.replace("stub.ld", "../stub/stub.ld"));

/** Of programs with a C library, their tests' builds with sanitizers included. */
export const WARNINGS = ["-std=gnu17", "-Wall", "-Wextra", "-Werror"];

/** What a distribution's gcc turns on by itself. */
const PLAIN = [
  "-fno-stack-clash-protection",
  "-fcf-protection=none",
  "-fno-asynchronous-unwind-tables",
  "-fno-ident",
  "-s",
];

const GUEST_INIT_FLAGS = [
  ...WARNINGS,
  "-Os",
  // The kernel's headers, for netlink and capabilities; musl's come first.
  ...["-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu"],
  "-static",
  "-fno-pic",
  "-no-pie",
  ...["-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"],
  // The base instruction set, whatever processor the guest has.
  "-march=x86-64",
  ...PLAIN,
  "-Wl,--build-id=none,-z,noseparate-code,-z,max-page-size=4096,-z,noexecstack",
];

const WAITER_FLAGS = [
  ...WARNINGS,
  "-Os",
  // Monitors are hostile: at an address of its own, with guarded stacks and read-only relocations.
  "-static-pie",
  "-fPIE",
  "-fstack-protector-strong",
  "-Wl,-z,relro,-z,now,-z,noexecstack",
  // The base instruction set.
  "-march=x86-64",
  ...PLAIN,
  "-Wl,--build-id=none,-z,noseparate-code,-z,max-page-size=4096",
];

const FIXTURE_GUEST_FLAGS = [
  ...FREESTANDING,
  "-m32",
  // Some hosts run guests through an instruction emulator, which knows the plain instructions.
  "-march=i486",
  "-fno-pic",
  "-Wno-int-to-pointer-cast",
  "-s",
  "-Wl,-z,noexecstack",
  "-Wl,-z,max-page-size=4096",
  "-Wl,--no-warn-rwx-segments",
  "-Wl,-T,guest.ld",
];

/** All of them. */
export const NATIVE_PROGRAMS: readonly NativeProgram[] = [
  {
    name: "entry stub",
    compiler: GCC,
    directory: "lib/build/stub",
    sources: ["stub.c"],
    flags: STUB_FLAGS,
    output: { module: "lib/build/stub/bytes.ts", constant: "STUB" },
  },
  {
    name: "fork",
    compiler: GCC,
    directory: "lib/build/fork",
    sources: ["fork.c"],
    flags: FORK_FLAGS,
    output: { module: "ffi/fork_bytes.ts", constant: "FORK" },
  },
  {
    name: "guest init",
    compiler: { ...MUSL_GCC, packages: [...MUSL_GCC.packages, "linux-libc-dev"] },
    directory: "lib/build/guest_init",
    sources: [
      "init.c",
      "network.c",
      "run.c",
      "surroundings.c",
      "mounts.c",
      "copy.c",
      "filter.c",
      "entropy.c",
      "dns.c",
      "modules.c",
      "root.c",
      "share.c",
      "agent.c",
      "exec.c",
      "processes.c",
    ],
    flags: GUEST_INIT_FLAGS,
    output: { module: "lib/guest/initrd/init_bytes.ts", constant: "GUEST_INIT" },
  },
  {
    name: "waiter",
    compiler: MUSL_GCC,
    directory: "lib/build/waiter",
    sources: ["waiter.c"],
    flags: WAITER_FLAGS,
    output: { module: "lib/launch/waiter_bytes.ts", constant: "WAITER" },
  },
  {
    name: "fixture guest",
    compiler: GCC,
    directory: "fixtures/guests",
    sources: ["entry.S", "guest.c"],
    flags: FIXTURE_GUEST_FLAGS,
    output: { file: "fixtures/guests/guest.elf" },
  },
  {
    name: "fixture guest (multiboot)",
    compiler: GCC,
    directory: "fixtures/guests",
    sources: ["entry.S", "guest.c"],
    flags: ["-DMULTIBOOT", ...FIXTURE_GUEST_FLAGS],
    output: { file: "fixtures/guests/guest-multiboot.elf" },
  },
];
