import { InvalidConfigurationError } from "../errors.ts";
import { isSameNamespace, readNamespace } from "../host/namespaces.ts";
import type { NamespaceType, Spec } from "../oci/types.ts";

/** Files of /proc/PID/ns. */
const FILES: Partial<Record<NamespaceType, string>> = { network: "net", ipc: "ipc", uts: "uts" };

/**
 * Refuses a namespace that is joined by a path and turns out to be the runtime's own, where a
 * container could change the host: the guest would take over the host's own network interface, and
 * a sysctl would be set for everybody.
 *
 * @throws InvalidConfigurationError naming the namespace
 */
export function refuseOwnNamespaces({ linux }: Spec): void {
  const hasSysctls = Object.keys(linux.sysctl).length > 0;
  for (const [index, { type, path }] of linux.namespaces.entries()) {
    const file = FILES[type];
    if (path === undefined || file === undefined) continue;
    if (type !== "network" && !hasSysctls) continue;
    const own = readNamespace(`/proc/self/ns/${file}`);
    if (!isSameNamespace(own, readNamespace(path))) continue;
    throw new InvalidConfigurationError({
      operation: "read config.json",
      subject: `linux.namespaces[${index}].path`,
      reason: `${path} is the runtime's own ${type} namespace, ` +
        (type === "network"
          ? "whose interface the guest would take over"
          : "which linux.sysctl would change"),
      remedy: type === "network"
        ? "leave network out for a guest without a network"
        : "leave linux.sysctl out",
    });
  }
}
