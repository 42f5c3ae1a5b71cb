import { defaultConfiguration } from "../config/parse.ts";
import { monitorNames } from "../monitor/registry.ts";
import { type FiltersInput, planFilters, planRelayFilter } from "../plan/seccomp.ts";
import { assembleFilter } from "../seccomp/assemble.ts";
import { preparedKey } from "../seccomp/prepared.ts";

const FEATURES: Pick<FiltersInput, "namedTap" | "agent" | "dns" | "files" | "mapsOwners">[] = [
  { namedTap: false, agent: undefined, dns: false, files: false, mapsOwners: false },
  { namedTap: true, agent: "ports", dns: false, files: false, mapsOwners: false },
  { namedTap: false, agent: "ports", dns: true, files: false, mapsOwners: false },
  { namedTap: false, agent: "vsock", dns: false, files: false, mapsOwners: false },
  { namedTap: true, agent: "vsock", dns: false, files: false, mapsOwners: false },
  { namedTap: true, agent: "vsock", dns: true, files: false, mapsOwners: false },
  { namedTap: false, agent: "ports", dns: false, files: true, mapsOwners: false },
  { namedTap: false, agent: "ports", dns: true, files: true, mapsOwners: false },
  { namedTap: false, agent: "ports", dns: true, files: true, mapsOwners: true },
];

/**
 * The filters of system calls of all containers on a node whose operator has not changed them.
 *
 * @returns programs in base64, by their keys
 */
export function prepareFilters(): Record<string, string> {
  const configuration = defaultConfiguration();
  const filters = monitorNames().flatMap((name) =>
    (["kvm", "tcg"] as const).flatMap((accelerator) =>
      FEATURES.flatMap((features) =>
        Object.values(
          planFilters({
            monitor: { name },
            configuration,
            accelerator,
            vhost: false,
            ...features,
          })!,
        )
      )
    )
  );
  return Object.fromEntries(
    [...filters, planRelayFilter(configuration)!].map((
      filter,
    ) => [preparedKey(filter)!, assembleFilter(filter).toBase64()]),
  );
}
