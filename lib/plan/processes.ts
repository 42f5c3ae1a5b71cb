import { InvalidConfigurationError } from "../errors.ts";
import type { Monitor } from "../monitor/types.ts";
import type { Resources, Spec } from "../oci/types.ts";
import { processLimits } from "../oci/process_limits.ts";
import { FILE_SERVER_THREADS } from "./file_server.ts";

/** What a container's processes are planned from. */
export interface ProcessesInput {
  monitor: Pick<Monitor, "name" | "threads">;
  vcpus: number;
  /** How many. */
  disks: number;
  /** Interfaces whose packets the kernel moves. */
  vhosts: number;
  accelerator: "kvm" | "tcg";
  /** Whether the guest sees files of the host, by a further process. */
  sharesFiles?: boolean;
  spec: Pick<Spec, "hooks"> & { linux: { resources: Resources } };
}

/** How many processes and threads a container may have, besides the waiter. */
export interface ProcessesPlan {
  /** The least that a limit may be. */
  needed: number;
  /** Its limit when config.json has none. */
  standard: number;
}

/**
 * What is allowed beyond what the monitor is known to need: another version may have a thread more. A
 * monitor that was taken over cannot use up the machine's processes with it. Init's own threads fit in:
 * it joins the cgroup with some ten.
 */
const SPARE = 16;

/** As `SPARE`, for hooks that run in the container's cgroup: a Go program has a thread for each processor. */
const FOR_HOOKS = 512;

/**
 * @throws InvalidConfigurationError naming the limit of config.json that is too low, and how high it must be
 */
export function planProcesses(input: ProcessesInput): ProcessesPlan {
  const { monitor, spec } = input;
  const needed = monitor.threads(input) + (input.sharesFiles ? FILE_SERVER_THREADS : 0);
  requireEnough(spec.linux.resources, { operation: "plan processes", needed });
  const { createContainer, startContainer } = spec.hooks;
  const hasHooks = createContainer.length + startContainer.length > 0;
  return { needed, standard: needed + (hasHooks ? FOR_HOOKS : SPARE) };
}

/**
 * @param needed by the monitor, and by the file server if there is one
 * @throws InvalidConfigurationError naming the limit that is too low, and how high it must be
 */
export function requireEnough(
  resources: Resources,
  { operation, needed }: { operation: string; needed: number },
): void {
  for (const { property, processes } of processLimits(resources)) {
    if (processes >= needed) continue;
    throw new InvalidConfigurationError({
      operation,
      subject: `linux.resources.${property}`,
      reason:
        `the monitor may have ${needed} processes and threads, the kernel's for it included, and ` +
        `${processes} are allowed: it would end when it cannot make one`,
      remedy: `allow at least ${needed} (docker, podman: --pids-limit), or set no limit`,
    });
  }
}

/** What a container is limited to: by config.json, and where that says nothing, to what it needs. */
export function withStandardLimits(resources: Resources, { standard }: ProcessesPlan): Resources {
  const { pids, unified } = resources;
  const isLimited = (pids.limit ?? 0) !== 0 || unified["pids.max"] !== undefined;
  return isLimited ? resources : { ...resources, pids: { limit: standard } };
}
