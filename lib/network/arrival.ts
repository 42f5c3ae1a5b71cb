/** A global address of another interface than `lo`: the scope is the fourth column, the name the last. */
const GLOBAL_INET6 = /^(?:\S+ +){3}00 +\S+ +(?!lo$)\S+$/m;

/**
 * Whether an interface of a process's network namespace has a global address, `lo` apart.
 *
 * @param pid of the process; false when it is gone
 * @see proc_pid_net(5)
 */
export function hasAddress(pid: number): boolean {
  try {
    // Each IPv4 address makes a route to its subnet; the first line is a heading.
    const routes = Deno.readTextFileSync(`/proc/${pid}/net/route`).trimEnd().split("\n");
    if (routes.length > 1) return true;
    // The file is missing without IPv6.
    return GLOBAL_INET6.test(Deno.readTextFileSync(`/proc/${pid}/net/if_inet6`));
  } catch {
    return false;
  }
}
