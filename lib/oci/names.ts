/** Where a container has names of hosts, hosts(5), which engines bind there. */
export const HOSTS = "/etc/hosts";

/** Where a container has its name servers, resolv.conf(5), likewise. */
export const RESOLV_CONF = "/etc/resolv.conf";
