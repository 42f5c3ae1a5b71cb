/**
 * Whether an interface of a process's network namespace has an address, `lo` apart.
 *
 * @param pid of the process; false when it is gone
 * @see proc_pid_net(5)
 */
export function hasAddress(pid: number): boolean {
  try {
    // Each IPv4 address makes a route to its subnet; the first line is a heading.
    const routes = Deno.readTextFileSync(`/proc/${pid}/net/route`).trimEnd().split("\n");
    if (routes.length > 1) return true;
    // The last column is the interface. The file is missing without IPv6.
    return /\s(?!lo$)\S+$/m.test(Deno.readTextFileSync(`/proc/${pid}/net/if_inet6`).trimEnd());
  } catch {
    return false;
  }
}
