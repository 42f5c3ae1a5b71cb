import { HostError, InvalidConfigurationError } from "../../errors.ts";
import type { Resources } from "../../oci/types.ts";
import type { CgroupPlan } from "./plan.ts";
import { writesV1 } from "./resources_v1.ts";
import { writesV2 } from "./resources_v2.ts";
import { type CgroupWrite, isRequest, unsupported } from "./writes.ts";

/**
 * Turns limits into the writes that set them, in order, whatever the cgroup was set to before.
 *
 * Zero, like nothing, asks for nothing: docker and podman always send some zeros.
 *
 * @throws UnsupportedError for what urunc or this host's cgroup version cannot limit,
 *   InvalidConfigurationError for limits that contradict each other, HostError when the controller
 *   is not there; each names the property
 * @see https://github.com/opencontainers/runtime-spec/blob/v1.2.0/config-linux.md#control-groups
 */
export function planResources(resources: Resources, plan: CgroupPlan): CgroupWrite[] {
  refuseUnsupported(resources);
  checkSwap(resources.memory);
  return plan.v1.length > 0 ? writesV1(resources, plan.v1) : writesV2(resources, plan.v2);
}

/**
 * Sets limits.
 *
 * @param writes from `planResources`
 * @throws HostError naming the file and the value
 */
export function applyResources(writes: CgroupWrite[]): void {
  for (const { file, value, mayBeMissing } of writes) {
    try {
      Deno.writeTextFileSync(file, value, { create: false });
    } catch (error) {
      if (error instanceof Deno.errors.NotFound && mayBeMissing) continue;
      throw new HostError({
        operation: "set limit",
        subject: `${file} to ${value}`,
        reason: error instanceof Deno.errors.NotFound
          ? "this kernel does not have it"
          : error instanceof Error
          ? error.message
          : String(error),
        cause: error,
      });
    }
  }
}

function refuseUnsupported(resources: Resources): void {
  const { memory, cpu } = resources;
  const requests: Record<string, unknown> = {
    "linux.resources.blockIO": resources.blockIO,
    "linux.resources.hugepageLimits": resources.hugepageLimits.filter(({ limit }) => limit !== 0),
    "linux.resources.network": resources.network,
    // Kernel memory: unlimited is what it is anyway; limits were removed in Linux 6.1 and earlier.
    "linux.resources.memory.kernel": memory.kernel === -1 ? undefined : memory.kernel,
    "linux.resources.memory.kernelTCP": memory.kernelTCP === -1 ? undefined : memory.kernelTCP,
    "linux.resources.cpu.realtimeRuntime": cpu.realtimeRuntime,
    "linux.resources.cpu.realtimePeriod": cpu.realtimePeriod,
  };
  const refused = Object.keys(requests).find((name) => isRequest(requests[name]));
  if (refused !== undefined) throw unsupported(refused, "urunc does not set it yet");
}

/** The kernel would refuse these too, with nothing but EINVAL. `swap` is memory and swap together. */
function checkSwap({ limit, swap }: Resources["memory"]): void {
  if (swap === undefined || swap <= 0) return;
  const reason = limit === undefined || limit <= 0
    ? "it needs memory.limit as well, since it limits memory and swap together"
    : swap < limit
    ? `${swap} is less than memory.limit, ${limit}, and limits memory and swap together`
    : undefined;
  if (reason === undefined) return;
  throw new InvalidConfigurationError({
    operation: "plan limit",
    subject: "linux.resources.memory.swap",
    reason,
  });
}
