import type { Configuration } from "../config/types.ts";
import type { Guest } from "../guest/families/types.ts";
import type { Monitor } from "../monitor/types.ts";
import { processorLimit } from "../oci/processors.ts";
import type { Resources } from "../oci/types.ts";

/** What a guest's processors are planned from. */
export interface ProcessorsInput {
  resources: Resources;
  configuration: Pick<Configuration, "default_vcpus">;
  guest: Pick<Guest, "singleProcessor">;
  monitor: Pick<Monitor, "maximumVcpus">;
}

/**
 * How many virtual processors the guest gets: as many as the container may use, and `default_vcpus` where
 * nothing limits it. Fewer where guest or monitor cannot have so many.
 */
export function virtualProcessors(input: ProcessorsInput): number {
  const { resources, configuration, guest, monitor } = input;
  if (guest.singleProcessor) return 1;
  const wanted = processorLimit(resources) ?? configuration.default_vcpus;
  return Math.max(1, Math.min(wanted, monitor.maximumVcpus));
}
