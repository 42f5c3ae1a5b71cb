import { HostError } from "../errors.ts";
import { explainAccess, mayAccess } from "../host/access.ts";
import type { DeviceFacts, HostFacts } from "../host/types.ts";
import type { MonitorDevice } from "../monitor/types.ts";
import type { User } from "../oci/types.ts";
import type { AllowedDevice, Step } from "./types.ts";

const READ_WRITE = 0o6;

/** What device planning knows. */
export interface DevicesInput {
  devices: MonitorDevice[];
  facts: HostFacts;
  user: User;
  access: "private" | "groups";
}

/** The device nodes of a plan, and what the device cgroup must let through. */
export interface PlannedDevices {
  steps: Step[];
  allowed: AllowedDevice[];
}

/**
 * Device nodes of the monitor's private /dev.
 *
 * `private`: a node made for this container alone, owned by the monitor's user, mode 0600. No group
 * is needed, nothing on the host changes, and no other process can reach the node.
 * `groups`: the host's own node, so that its owner, mode and ACL decide.
 *
 * Throws HostError when a device is missing, does not work, or would refuse this user.
 */
export function planDevices(input: DevicesInput): PlannedDevices {
  const planned: PlannedDevices = { steps: [], allowed: [] };
  for (const name of input.devices) {
    const device = name === "kvm" ? usableKvm(input.facts) : existingTun(input.facts);
    planned.steps.push(
      input.access === "private"
        ? privateNode(`/dev/${name}`, device, input.user)
        : hostNode(`/dev/${name}`, device, input),
    );
    planned.allowed.push({
      type: device.type,
      major: device.major,
      minor: device.minor,
      access: "rw",
    });
  }
  return planned;
}

function privateNode(path: string, device: DeviceFacts, user: User): Step {
  return {
    step: "mknod",
    path,
    type: device.type,
    major: device.major,
    minor: device.minor,
    uid: user.uid,
    gid: user.gid,
    mode: 0o600,
  };
}

function hostNode(path: string, device: DeviceFacts, { user, facts }: DevicesInput): Step {
  const who = { uid: user.uid, gid: user.gid, groups: user.additionalGids };
  if (!mayAccess(device, who, READ_WRITE)) {
    const explanation = explainAccess(device, who, READ_WRITE, (gid) => facts.groupNames?.[gid]);
    throw new HostError({
      operation: "plan device",
      subject: device.path,
      reason: `device_access = "groups" is configured, and ${explanation}`,
    });
  }
  return { step: "bindDevice", source: device.path, target: path };
}

function usableKvm(facts: HostFacts): DeviceFacts {
  const { kvm } = facts;
  if (kvm.device !== undefined && kvm.usable) return kvm.device;
  throw new HostError({
    operation: "plan device",
    subject: "/dev/kvm",
    reason: kvm.reason ?? "there is no /dev/kvm on this machine",
    remedy: "emulation is slow and only used when asked for: annotation " +
      '"com.urunc.unikernel.accelerator": "tcg", or accelerator = "tcg" in the configuration',
  });
}

function existingTun(facts: HostFacts): DeviceFacts {
  if (facts.tun !== undefined) return facts.tun;
  throw new HostError({
    operation: "plan device",
    subject: "/dev/net/tun",
    reason: "the guest has a network and there is no /dev/net/tun on this machine",
    remedy: "load the kernel module: modprobe tun",
  });
}
