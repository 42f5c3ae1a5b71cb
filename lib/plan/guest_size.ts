import { lowestMemoryLimit } from "../oci/memory_limits.ts";
import type { GuestProcess } from "../guest/initrd/segment.ts";
import { agentBytes } from "./agent.ts";
import { openFilesLimit } from "./credentials.ts";
import { bootMemoryBytes } from "./kernel.ts";
import { virtualProcessors } from "./processors.ts";
import { guestMemoryMiB, type MemoryInput } from "./memory.ts";
import { furtherGuestBytes, takenInterfaces } from "./network.ts";
import { copiedBytes } from "./root.ts";
import { planCopiedVolumes, planSharedFiles } from "./shared_files.ts";
import {
  acceleratorOf,
  agentOf,
  connected,
  guestInput,
  type LaunchInput,
  relaysNames,
} from "./launch_input.ts";

/** What memory depends on besides the container. */
export interface Boot {
  accelerator: "kvm" | "tcg";
  initrdProcess: GuestProcess | undefined;
}

/** What the guest's memory is computed of. */
export function memoryInput(
  input: LaunchInput,
  { accelerator, initrdProcess }: Boot,
): MemoryInput {
  const { spec, facts, network, monitor, guest } = input;
  const hasAgent = agentOf(input).agent !== undefined;
  const ports = hasAgent && monitor.agentChannel === "ports" ? agentBytes(relaysNames(input)) : 0;
  const copied = planCopiedVolumes(input).reduce((sum, { bytes }) => sum + bytes, 0);
  return {
    monitor,
    limit: lowestMemoryLimit(spec.linux.resources),
    defaultMemoryMiB: monitorDefaults(input).default_memory_mib,
    vcpus: vcpusOf(input),
    networks: takenInterfaces(network).length,
    disks: facts.disks?.length ?? 0,
    sharesFiles: planSharedFiles(input) !== undefined,
    accelerator,
    openFiles: openFilesLimit(spec.process, hasAgent),
    agent: hasAgent,
    kernelBytes: facts.kernel.size,
    bootBytes: bootMemoryBytes(
      facts.kernelFormat,
      facts.kernel.size,
      (facts.initrd?.size ?? 0) + (facts.nodeKernel?.modules?.size ?? 0) +
        (guest.runtimeBytes ?? 0) + furtherGuestBytes(network) + copied,
    ) + ports,
    agentBytes: ports,
    copiedBytes: copiedBytes(facts, spec.process.user, initrdProcess),
  };
}

/** The guest's memory, MiB. */
export function guestMemoryOf(given: LaunchInput): number {
  const input = connected(given);
  const initrdProcess = input.guest.processInInitrd?.(guestInput(input));
  return guestMemoryMiB(memoryInput(input, { accelerator: acceleratorOf(input), initrdProcess }));
}

/** The guest's virtual processors. */
export function vcpusOf(input: LaunchInput): number {
  const { default_vcpus } = monitorDefaults(input);
  const { resources } = input.spec.linux;
  return virtualProcessors({ ...input, resources, configuration: { default_vcpus } });
}

/** What the operator says of this monitor, over what holds for all. */
function monitorDefaults({ configuration, monitor }: LaunchInput) {
  const own = configuration.monitors[monitor.name];
  return {
    default_memory_mib: own?.default_memory_mib ?? configuration.default_memory_mib,
    default_vcpus: own?.default_vcpus ?? configuration.default_vcpus,
  };
}
