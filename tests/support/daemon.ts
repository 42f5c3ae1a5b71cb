/** Daemons that belong to a test. */
import { RUN_MARK, RUN_VARIABLE } from "./mark.ts";
import { signalChild, waitFor } from "./process.ts";
import type { Scope } from "./scope.ts";

/** A daemon that was started. */
export interface Daemon {
  pid: number;
  log: string;
  hasEnded(): boolean;
}

/**
 * Shell commands that begin a mount namespace of a daemon's: what other tests have mounted is detached from
 * it, a copy would hold their disks for as long as it lives.
 */
export const DETACH_OTHERS = `awk '$5 ~ "/urunc-test-" { print $5 }' /proc/self/mountinfo |
  while read -r it; do umount --lazy "$it" 2>/dev/null; done; `;

/** Starts a daemon that ends on SIGTERM; its output goes to a file. */
export async function daemon(
  scope: Scope,
  log: string,
  argv: string[],
  environment: Record<string, string> = {},
): Promise<Daemon> {
  const [program, ...args] = argv;
  const child = new Deno.Command("sh", {
    // The shell replaces itself, unshare and nsenter do, too: the pid stays.
    args: ["-c", 'log=$1; shift; exec "$@" >"$log" 2>&1', "sh", log, program ?? "", ...args],
    stdin: "null",
    stdout: "null",
    stderr: "null",
    env: {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      [RUN_VARIABLE]: RUN_MARK,
      ...environment,
    },
    clearEnv: true,
  }).spawn();
  let ended = false;
  const status = child.status.then(() => ended = true);
  scope.defer(`stop ${log}`, async () => {
    signalChild(child, "SIGTERM");
    const timer = setTimeout(() => signalChild(child, "SIGKILL"), 20_000);
    await status;
    clearTimeout(timer);
  });
  await Promise.resolve();
  return { pid: child.pid, log, hasEnded: () => ended };
}

/** Waits until a daemon listens. Throws with the end of its log when it ends instead. */
export async function waitForSocket(path: string, daemon: Daemon): Promise<void> {
  try {
    await waitFor(async () => {
      if (daemon.hasEnded()) throw new Error("the daemon ended");
      try {
        return (await Deno.stat(path)).isSocket;
      } catch {
        return false;
      }
    }, { timeoutSeconds: 60, what: path });
  } catch (error) {
    const log = await Deno.readTextFile(daemon.log);
    throw new Error(`${error instanceof Error ? error.message : error}\n${log.slice(-4000)}`);
  }
}
