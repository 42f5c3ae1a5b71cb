import { isGone } from "../os/os_error.ts";

/** Set by the module's boot parameter; absent when AppArmor is not built in. */
const ENABLED = "/sys/module/apparmor/parameters/enabled";

/** Whether AppArmor is enabled in the running kernel. */
export function apparmorEnabled(): boolean {
  try {
    return Deno.readTextFileSync(ENABLED).startsWith("Y");
  } catch {
    return false;
  }
}

/**
 * The profile that confines a process, without its mode: `docker-default`, `unconfined`.
 *
 * @returns undefined when the process does not exist
 * @see proc_pid_attr(5); the text is `NAME (enforce)`, or the name alone for `unconfined`
 */
export function readAppArmorProfile(pid: number): string | undefined {
  for (const file of ["apparmor/current", "current"]) {
    try {
      return parseAppArmorProfile(Deno.readTextFileSync(`/proc/${pid}/attr/${file}`));
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }
  return undefined;
}

/** The name in the text of /proc/PID/attr/current. */
export function parseAppArmorProfile(text: string): string {
  return text.replace(/[\n\0]+$/, "").replace(/ \([a-z]+\)$/, "");
}
