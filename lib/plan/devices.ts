import type { DeviceAccess } from "../config/types.ts";
import { HostError, UnsupportedError } from "../errors.ts";
import { explainAccess, mayAccess } from "../host/access.ts";
import type { DeviceFacts } from "../host/types.ts";
import type { HostFacts } from "../inspect/types.ts";
import { monitorsThat } from "../monitor/registry.ts";
import type { Monitor } from "../monitor/types.ts";
import type { User } from "../oci/types.ts";
import type { Step } from "./types.ts";
import type { AllowedDevice } from "../cgroups/device_program.ts";

const READ_WRITE = 0o6;

/** What device planning knows. */
export interface DevicesInput {
  monitor: Monitor;
  accelerator: "kvm" | "tcg";
  /** Names of the guest's taps; none without a network. */
  taps: string[];
  facts: HostFacts;
  user: User;
  access: DeviceAccess;
  /** The kernel is to move the packets of these taps. */
  vhost: boolean;
  /** Lets the monitor inherit what a step opens by this name; returns the descriptor's number. */
  inherit(name: string): number;
}

/** The devices of a plan. */
export interface PlannedDevices {
  /** Make nodes, after /dev is there. */
  nodes: Step[];
  /** Open devices, before the device rules. */
  opened: Step[];
  /** What the device cgroup must allow. */
  allowed: AllowedDevice[];
  kvmFd?: number;
  /** In the order of the taps; none where the monitor attaches by name. */
  tapFds: number[];
  /** In the order of the taps, of /dev/vhost-net; none where the monitor moves the packets. */
  vhostFds: number[];
}

/**
 * Device nodes of the monitor's private /dev, or descriptors instead of them. A tap is a descriptor
 * wherever the monitor takes one, so that it need not be in the tap's network namespace; otherwise:
 *
 * `private`: a node made for this container alone, owned by the monitor's user, mode 0600. No group
 * is needed, nothing on the host changes, and no other process can reach the node.
 * `groups`: the host's own node, whose owner, mode and ACL decide.
 * `fd`: no node. Init opens the device, and the monitor inherits it; the device cgroup allows nothing,
 * since it is only consulted when a device is opened.
 *
 * vhost-net is a descriptor in every case: QEMU takes one, and its node is never in reach of a monitor.
 *
 * Throws HostError when a device is missing, does not work, or would refuse this user;
 * UnsupportedError when the monitor should inherit descriptors and takes none.
 */
export function planDevices(input: DevicesInput): PlannedDevices {
  const planned: PlannedDevices = { nodes: [], opened: [], allowed: [], tapFds: [], vhostFds: [] };
  const { monitor, accelerator, taps, access, facts } = input;
  const network = taps.length > 0;
  for (const name of monitor.devices({ accelerator, network })) {
    const device = name === "kvm" ? usableKvm(facts) : existingTun(facts);
    if (access === "fd") requireDescriptors(monitor, device);
    if (name === "net/tun" && monitor.takesDescriptors) {
      planTapDescriptors(planned, input);
      continue;
    }
    if (access === "fd") {
      planKvmDescriptor(planned, device, input);
      continue;
    }
    planned.nodes.push(
      access === "private"
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

function planKvmDescriptor(planned: PlannedDevices, device: DeviceFacts, input: DevicesInput) {
  planned.opened.push(openStep("kvm", device, "rw"));
  planned.kvmFd = input.inherit("kvm");
}

function planTapDescriptors(planned: PlannedDevices, input: DevicesInput) {
  const { taps, vhost, facts, inherit } = input;
  const device = vhost ? existingVhostNet(facts) : undefined;
  for (const [position, tap] of taps.entries()) {
    const numbered = (name: string) => position === 0 ? name : `${name} ${position}`;
    planned.opened.push({ step: "attachTap", name: numbered("tap"), tap });
    planned.tapFds.push(inherit(numbered("tap")));
    if (device === undefined) continue;
    // Each is one of its own (vhost_net_open()).
    planned.opened.push(openStep(numbered("vhost"), device, "rw"));
    planned.vhostFds.push(inherit(numbered("vhost")));
  }
}

/** Opens a device by its numbers, whatever the host calls its node. */
export function openStep(
  name: string,
  { type, major, minor }: DeviceFacts,
  access: "r" | "rw",
): Extract<Step, { step: "openDevice" }> {
  return { step: "openDevice", name, type, major, minor, access };
}

/** @throws UnsupportedError when this monitor takes no descriptor of this device */
export function requireDescriptors(monitor: Monitor, { path }: DeviceFacts): void {
  if (monitor.takesDescriptors) return;
  throw new UnsupportedError({
    operation: "plan device",
    subject: path,
    reason: `device_access = "fd" is configured, and ${monitor.name} opens its devices itself`,
    remedy: 'set device_access = "private", or use ' +
      monitorsThat(({ takesDescriptors }) => takesDescriptors),
  });
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
    remedy: "load the kernel module: modprobe tun; or make the node: mkdir -p /dev/net; " +
      "mknod -m 0666 /dev/net/tun c 10 200",
  });
}

function existingVhostNet({ vhostNet }: HostFacts): DeviceFacts {
  if (vhostNet !== undefined) return vhostNet;
  throw new HostError({
    operation: "plan device",
    subject: "/dev/vhost-net",
    reason:
      "vhost = true is configured for this monitor, and there is no /dev/vhost-net on this machine",
    remedy: "load the kernel module: modprobe vhost_net; or set vhost = false",
  });
}
