import type { Device, DeviceRule, Spec } from "./types.ts";

/** A block device that the caller gives the container, to be a disk of the guest. */
export interface DiskDevice {
  device: Device & { major: number; minor: number };
  /** By the container's device rules. */
  access: "none" | "r" | "rw";
}

/**
 * The block devices of `linux.devices`: Kubernetes' `volumeDevices`, docker's `--device`. What may be
 * done with one stands in `linux.resources.devices` only, as the kubelet's `readOnly` and docker's
 * `--device …:r` do; what no rule speaks of is allowed.
 */
export function diskDevices({ linux }: Pick<Spec, "linux">): DiskDevice[] {
  const { devices: rules = [] } = linux.resources ?? {};
  return linux.devices.filter(isBlockDevice).map((device) => {
    const reads = isAllowed(rules, device, "r");
    const writes = isAllowed(rules, device, "w");
    return { device, access: !reads ? "none" : writes ? "rw" : "r" };
  });
}

/** Its numbers say which it is: `path` is a place in the container. */
export function isBlockDevice(device: Device): device is DiskDevice["device"] {
  return device.type === "b" && device.major !== undefined && device.minor !== undefined;
}

/** Of the rules that match the last one counts; a rule without a number or letter has all of them. */
function isAllowed(
  rules: DeviceRule[],
  { major, minor }: DiskDevice["device"],
  letter: "r" | "w",
): boolean {
  const last = rules.findLast((rule) =>
    (rule.type ?? "a") !== "c" && (rule.major ?? major) === major &&
    (rule.minor ?? minor) === minor && (rule.access ?? "rwm").includes(letter)
  );
  return last?.allow ?? true;
}
