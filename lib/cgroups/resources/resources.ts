import { errorMessage, HostError, InvalidConfigurationError } from "../../errors.ts";
import type { Resources } from "../../oci/types.ts";
import type { CgroupPlan } from "../plan.ts";
import { formerValues } from "./former_values.ts";
import { blockIOWrites } from "./blockio.ts";
import { hugetlbWrites } from "./hugetlb.ts";
import { writesV1 } from "./v1.ts";
import { writesV2 } from "./v2.ts";
import { type CgroupWrite, isRequest, unsupported } from "../writes.ts";

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
  return [
    ...(plan.v1.length > 0 ? writesV1(resources, plan.v1) : writesV2(resources, plan.v2)),
    ...blockIOWrites(resources.blockIO, plan),
    ...hugetlbWrites(resources.hugepageLimits, plan),
  ];
}

/**
 * Sets limits.
 *
 * @param writes from `planResources`
 * @throws HostError naming the file and the value
 */
export function applyResources(writes: CgroupWrite[]): void {
  for (const { file, value, mayBeMissing, or } of writes) {
    try {
      const isThere = writeIfThere(file, value);
      if (or !== undefined && writeIfThere(or.file, or.value)) continue;
      if (!isThere && !mayBeMissing) throw new Deno.errors.NotFound();
    } catch (error) {
      throw new HostError({
        operation: "set limit",
        subject: `${file} to ${value}`,
        reason: error instanceof Deno.errors.NotFound
          ? "this kernel does not have it"
          : errorMessage(error),
        cause: error,
      });
    }
  }
}

/**
 * Sets limits of a running container: all or none.
 *
 * @param writes from `planResources`
 * @param afterwards what belongs to it; when it throws, the limits are as before, too
 * @throws HostError naming the file and the value that the kernel refused
 */
export function changeResources(writes: CgroupWrite[], afterwards: () => void = () => {}): void {
  const former: CgroupWrite[] = [];
  try {
    for (const write of writes) {
      former.push(...formerValues(write));
      applyResources([write]);
    }
    afterwards();
  } catch (error) {
    // Each as it was just before, so that what the kernel compares fits together on the way back.
    for (const write of former.reverse()) restore(write);
    throw error;
  }
}

function restore({ file, value }: CgroupWrite): void {
  try {
    writeIfThere(file, value);
  } catch {
    // The write that failed (a device that is not there) cannot be taken back, and need not.
  }
}

/** @returns whether there is such a file */
function writeIfThere(file: string, value: string): boolean {
  try {
    Deno.writeTextFileSync(file, value, { create: false });
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function refuseUnsupported(resources: Resources): void {
  const { memory, cpu } = resources;
  const noRealTime = "a monitor has no real-time threads";
  const requests: [property: string, value: unknown, reason: string][] = [
    ["network", resources.network, "a guest's packets leave by a tap and belong to no class"],
    ["rdma", resources.rdma, "a guest is given no RDMA device"],
    // Unlimited is what it is anyway.
    ["memory.kernel", memory.kernel === -1 ? 0 : memory.kernel, "kernels no longer limit it alone"],
    [
      "memory.kernelTCP",
      memory.kernelTCP === -1 ? 0 : memory.kernelTCP,
      "the guest has its own TCP",
    ],
    ["cpu.realtimeRuntime", cpu.realtimeRuntime, noRealTime],
    ["cpu.realtimePeriod", cpu.realtimePeriod, noRealTime],
  ];
  const refused = requests.find(([, value]) => isRequest(value));
  if (refused !== undefined) throw unsupported(`linux.resources.${refused[0]}`, refused[2]);
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
