/**
 * How the entry stub changes the arguments and the environment for Deno. Both configure Deno, and neither
 * the caller's environment nor the name of a link may change what runs.
 */

/**
 * `argv[0]` for Deno, then what stands before the path of the bundle.
 *
 * Deno behaves by its name: as `node` it expects Node's arguments, and as `dx`, `dnx` or `denox` it runs
 * a package from the registry.
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
  // single-threaded: two threads less, and a boot that is shorter by 10 %. It is also necessary: when V8's
  // threads first contend for a lock, the main one opens /sys/devices/system/cpu/cpu0/tsc_freq_khz, which
  // does not exist everywhere, and so overwrites the errno of the call before with ENOENT.
  // expose-gc: long-lived idle processes collect garbage explicitly.
  // no-sparkplug: most functions run a few times only, for which baseline compilation does not pay.
  // semi-space, MiB: a container's start allocates 3, and a collection during it takes 2 ms. An idle shim
  // gives it back.
  "--v8-flags=--single-threaded,--expose-gc,--no-sparkplug,--min-semi-space-size=4,--max-semi-space-size=4",
  // The path of the memory file has no extension.
  "--ext=js",
];

/**
 * Set in every run, with `URUNC_ARGV0` and `URUNC_FILE_LIMIT`, which the stub adds. The caller's values
 * of these names are dropped; /proc/self/environ still has them.
 */
export const DENO_ENVIRONMENT: readonly string[] = [
  // Cannot exist: caches stay in memory, and nothing is written to or locked in a home.
  "DENO_DIR=/dev/null/x",
  // On a terminal Deno would report that twice. Other errors are still logged.
  "DENO_LOG=error,deno::cache=off",
  "DENO_NO_UPDATE_CHECK=1",
  "DENO_NO_PACKAGE_JSON=1",
  // Where there is no node on PATH, Deno would make one in DENO_DIR and change PATH.
  "DENO_DISABLE_NODE_SHIM=1",
  // Deno reads $HOME/.npmrc in every run and exits if it is invalid. /proc/self never has one, and nothing
  // can create one; without HOME Deno would take the home directory from the user database.
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
