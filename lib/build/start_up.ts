/**
 * What the entry stub does to the arguments and the environment before Deno sees them. Deno is steered
 * by both, and neither the caller's environment nor the name of a link may decide what runs.
 */

/**
 * `argv[0]` for Deno, then what stands before the path of the bundle.
 *
 * Deno looks at its own name: called through a link named `node` it expects Node's arguments, and with
 * a name that ends in `dx`, `dnx` or `denox` it runs a package from the registry.
 */
export const DENO_ARGUMENTS: readonly string[] = [
  "deno",
  "run",
  // A warning on stderr would corrupt what a shim prints for containerd.
  "--quiet",
  "--allow-all",
  "--no-config",
  "--no-lock",
  "--no-npm",
  "--no-remote",
  "--no-code-cache",
  // Two threads fewer and a boot that is shorter by a tenth. And needed: the first time that V8's threads
  // meet at a lock, the main one reads /sys/devices/system/cpu/cpu0/tsc_freq_khz, where there is none,
  // and a call that has just failed is told to have done so with ENOENT.
  // And the garbage collector on demand, for processes that are idle for long. And no compiler between
  // the interpreter and the optimizing ones: most functions run a few times, and are not worth it.
  // And room for young objects, MiB: what a container's start allocates is 3 of them, and a collection in
  // the midst of it takes 2 ms. An idle shim gives it back.
  "--v8-flags=--single-threaded,--expose-gc,--no-sparkplug,--min-semi-space-size=4,--max-semi-space-size=4",
  // The path of the memory file has no extension.
  "--ext=js",
];

/**
 * Set in every run, beside `URUNC_ARGV0` and `URUNC_FILE_LIMIT`, which the stub makes. Their names are
 * among the dropped. What the caller had set can still be read from /proc/self/environ.
 */
export const DENO_ENVIRONMENT: readonly string[] = [
  // Cannot exist: caches stay in memory, and nothing is written to or locked in a home.
  "DENO_DIR=/dev/null/x",
  // On a terminal Deno complains of that, twice. Everything else that it says of errors stays.
  "DENO_LOG=error,deno::cache=off",
  "DENO_NO_UPDATE_CHECK=1",
  "DENO_NO_PACKAGE_JSON=1",
  // Where there is no node on PATH, Deno would make one in DENO_DIR and change PATH.
  "DENO_DISABLE_NODE_SHIM=1",
  // Deno reads $HOME/.npmrc in every run and ends when it does not like it. There is never one here,
  // and nobody can make one; without HOME it would look in the home of the user database.
  "HOME=/proc/self",
];

/** The stub passes the caller's `argv[0]` on in this variable; `lib/os/self.ts` reads it. */
export const ARGV0_VARIABLE = "URUNC_ARGV0";

/** The stub passes the caller's soft limit of open files on in this variable; `lib/os/programs.ts` reads it. */
export const FILE_LIMIT_VARIABLE = "URUNC_FILE_LIMIT";

/** Variables whose NAME=VALUE begins with one of these are not passed on. */
export const DROPPED_VARIABLES: readonly string[] = [
  `${ARGV0_VARIABLE}=`,
  `${FILE_LIMIT_VARIABLE}=`,
  "HOME=",
  "DENO_",
  "DENORT_",
  "DCORE_",
  "NODE_",
  "NPM_",
  "npm_",
  "JSR_",
  "V8_",
  "ICU_",
  "RUST_",
  "TOKIO_",
  "RAYON_",
  "OTEL_",
  "SQLITE_",
  "UNSTABLE_INSPECTOR_",
  // Makes Deno print shell completions instead of running anything.
  "COMPLETE=",
  // Would make TLS write its session keys to a file.
  "SSLKEYLOGFILE=",
];
