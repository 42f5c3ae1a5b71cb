/**
 * How this program was started, and how it starts itself again. It may run as a linked executable
 * (`lib/build`), made by `deno compile`, or from its sources with `deno run`; nothing else may depend on
 * which.
 */
import { baseName } from "./path.ts";

/** The entry stub hands the bundle to Deno by this path (`lib/build/stub/stub.c`). */
const BUNDLE_URL_PREFIX = "file:///proc/self/fd/";

/** What the names of shims are like; containerd makes one from a runtime type. */
const SHIM_NAME = /^containerd-shim-.+-v\d+$/;

/** What the kernel appends to the target of `/proc/PID/exe` when the file is gone (proc_pid_exe(5)). */
const DELETED_SUFFIX = " (deleted)";

/** True in the linked executable, false under `deno compile` and `deno run`. */
export function isLinked(): boolean {
  return import.meta.url.startsWith(BUNDLE_URL_PREFIX);
}

/**
 * The name the program was called by: the last part of `argv[0]`, links not resolved. It chooses the
 * front end. From sources `URUNC_ARGV0` sets it; without it, it is `urunc`.
 */
export function invokedAs(): string {
  const argv0 = Deno.env.get("URUNC_ARGV0") ?? (Deno.build.standalone ? readArgv0() : "urunc");
  return baseName(argv0);
}

/** Whether the program was called as a containerd shim. */
export function isShim(): boolean {
  return SHIM_NAME.test(invokedAs());
}

/**
 * The argument vector that starts this program again, up to its own arguments. It works with an empty
 * environment. The file's path is used only while the file is there: after an upgrade a running shim
 * goes on starting what it is itself.
 */
export function selfCommand(): string[] {
  const executable = Deno.execPath();
  if (isLinked() || Deno.build.standalone) {
    return [executable.endsWith(DELETED_SUFFIX) ? "/proc/self/exe" : executable];
  }
  const main = decodeURIComponent(new URL("../../main.ts", import.meta.url).pathname);
  const deno = [executable, "run", "--allow-all", "--quiet", "--no-lock", main];
  // With an empty environment Deno would look for the npm packages in the home of the user database.
  const cache = denoDirectory();
  return cache === undefined ? deno : ["/usr/bin/env", `DENO_DIR=${cache}`, ...deno];
}

/** Where the Deno that runs the sources keeps its cache; undefined when it must find out on its own. */
function denoDirectory(): string | undefined {
  const { DENO_DIR, XDG_CACHE_HOME, HOME } = Deno.env.toObject();
  if (DENO_DIR) return DENO_DIR;
  if (XDG_CACHE_HOME) return `${XDG_CACHE_HOME}/deno`;
  return HOME ? `${HOME}/.cache/deno` : undefined;
}

function readArgv0(): string {
  const [argv0 = ""] = Deno.readTextFileSync("/proc/self/cmdline").split("\0");
  return argv0;
}
