import type { BlockIO, ThrottledDevice } from "../../oci/types.ts";
import type { CgroupPlan } from "../plan.ts";
import { type CgroupWrite, digits, isRequest, missingController, unsupported } from "../writes.ts";

/**
 * The writes for block devices.
 *
 * Weights are BFQ's business, or in v2 io.cost's; which of them a kernel has is only seen at its
 * files, and where both are there the device's scheduler decides which one counts.
 *
 * @throws UnsupportedError for what v2 does not have, HostError when the controller is not there
 * @see kernel Documentation/admin-guide/cgroup-v1/blkio-controller.rst,
 *   Documentation/admin-guide/cgroup-v2.rst, "IO", Documentation/block/bfq-iosched.rst
 */
export function blockIOWrites(blockIO: BlockIO, plan: CgroupPlan): CgroupWrite[] {
  return plan.v1.length > 0 ? writesV1(blockIO, plan) : writesV2(blockIO, plan);
}

const THROTTLES = [
  { property: "throttleReadBpsDevice", v1: "read_bps_device", v2: "rbps" },
  { property: "throttleWriteBpsDevice", v1: "write_bps_device", v2: "wbps" },
  { property: "throttleReadIOPSDevice", v1: "read_iops_device", v2: "riops" },
  { property: "throttleWriteIOPSDevice", v1: "write_iops_device", v2: "wiops" },
] as const;

function writesV1(blockIO: BlockIO, plan: CgroupPlan): CgroupWrite[] {
  const { weight = 0, leafWeight = 0, weightDevice = [] } = blockIO;
  const directory = plan.v1.find(({ controllers }) => controllers.includes("blkio"))?.directory;
  if (directory === undefined) return requireNothing(blockIO, "blkio");
  const file = (name: string, value: string) => ({ file: `${directory}/blkio.${name}`, value });
  const writes: CgroupWrite[] = [];
  const setWeight = (value: number, suffix: string, device = "") => {
    if (!isRequest(value)) return;
    const text = device + digits(value);
    writes.push({ ...file(`weight${suffix}`, text), or: file(`bfq.weight${suffix}`, text) });
  };
  // Only CFQ had it, which Linux 5.0 removed: on a newer kernel the missing file is the error.
  const setLeafWeight = (value: number, suffix: string, device = "") => {
    if (isRequest(value)) writes.push(file(`leaf_weight${suffix}`, device + digits(value)));
  };
  setWeight(weight, "");
  setLeafWeight(leafWeight, "");
  for (const device of weightDevice) {
    setWeight(device.weight ?? 0, "_device", `${numberOf(device)} `);
    setLeafWeight(device.leafWeight ?? 0, "_device", `${numberOf(device)} `);
  }
  for (const { property, v1 } of THROTTLES) {
    for (const device of blockIO[property] ?? []) {
      writes.push(file(`throttle.${v1}`, `${numberOf(device)} ${digits(device.rate)}`));
    }
  }
  return writes;
}

function writesV2(blockIO: BlockIO, { v2 }: CgroupPlan): CgroupWrite[] {
  const { weight = 0, leafWeight = 0, weightDevice = [] } = blockIO;
  if (isRequest(leafWeight) || weightDevice.some((it) => isRequest(it.leafWeight))) {
    throw unsupported("linux.resources.blockIO.leafWeight", "cgroup v2 does not have it");
  }
  if (!v2?.controllers.includes("io")) return requireNothing(blockIO, "io");
  const file = (name: string, value: string) => ({ file: `${v2.directory}/${name}`, value });
  const writes: CgroupWrite[] = [];
  const setWeight = (value: number, device = "") => {
    if (!isRequest(value)) return;
    writes.push({
      ...file("io.weight", device + String(ioWeight(value))),
      or: file("io.bfq.weight", device + digits(value)),
    });
  };
  setWeight(weight);
  for (const device of weightDevice) setWeight(device.weight ?? 0, `${numberOf(device)} `);
  for (const { property, v2: key } of THROTTLES) {
    for (const device of blockIO[property] ?? []) {
      const rate = device.rate === 0 ? "max" : digits(device.rate);
      writes.push(file("io.max", `${numberOf(device)} ${key}=${rate}`));
    }
  }
  return writes;
}

/** 10 to 1000 as 1 to 10000 in a straight line, as runc and crun do. */
export function ioWeight(weight: number): number {
  return 1 + Math.floor(((weight - 10) * 9999) / 990);
}

function numberOf({ major, minor }: Pick<ThrottledDevice, "major" | "minor">): string {
  return `${major}:${minor}`;
}

/** Without the controller there is nothing to write, and nothing may be asked for. */
function requireNothing(blockIO: BlockIO, controller: string): CgroupWrite[] {
  if (!isRequest(blockIO)) return [];
  throw missingController("linux.resources.blockIO", controller);
}
