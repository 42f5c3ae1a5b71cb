import { arch } from "../../arch/arch.ts";
import { MAKE_KVM } from "../../host/kvm.ts";
import type { DeviceFacts } from "../../host/types.ts";
import type { NodeFacts } from "../facts.ts";
import { type Line, Lines } from "./types.ts";

/** What cgroups must be able to do, besides what every container needs. */
const NEEDED_CONTROLLERS: readonly { names: string[]; what: string; isRequired: boolean }[] = [
  { names: ["memory"], what: "limits of memory", isRequired: true },
  { names: ["pids"], what: "limits of processes", isRequired: true },
  { names: ["cpu"], what: "limits of processors", isRequired: false },
  { names: ["cpuset"], what: "pinning to processors", isRequired: false },
];

/**
 * The driver, and its node where the module does not bring it: in a container, or without udev. Mode and
 * number: udev's rules of systemd, linux/if_tun.h.
 */
const LOAD_TUN = "modprobe tun; [ -e /dev/net/tun ] || " +
  "{ mkdir -p /dev/net; mknod -m 0666 /dev/net/tun c 10 200; }";

/** The kernel and what confines monitors. */
export function checkKernel({ kernel, security }: NodeFacts): Line[] {
  const lines = new Lines("kernel");
  lines.ok(`Linux ${kernel.release}`);
  if (kernel.seccomp) lines.ok("it filters system calls");
  else {
    lines.fail(
      "it cannot filter system calls (CONFIG_SECCOMP_FILTER)",
      'boot another kernel; seccomp = "off" in the configuration does without',
    );
  }
  if (kernel.landlock > 0) lines.ok(`Landlock, version ${kernel.landlock}`);
  else {
    lines.warn(
      "it has no Landlock (Linux 5.13, CONFIG_SECURITY_LANDLOCK): monitors have one fence less",
      "boot with landlock among the modules of the parameter lsm=, or a newer kernel",
    );
  }
  lines.ok(describeSecurity(security));
  return lines.lines;
}

function describeSecurity({ apparmor, selinux }: NodeFacts["security"]): string {
  const modules = [
    ...apparmor ? ["AppArmor"] : [],
    ...selinux === undefined ? [] : [`SELinux (${selinux}; labels of containers are ignored)`],
  ];
  return modules.length === 0 ? "neither AppArmor nor SELinux is active" : modules.join(", ");
}

/** /dev/kvm, and what is behind it. */
export function checkKvm(facts: NodeFacts): Line[] {
  const lines = new Lines("kvm");
  const { kvm, processor, configuration: { values } } = facts;
  const isNeeded = values.accelerator === "kvm";
  const report = (text: string, fix: string) =>
    isNeeded ? lines.fail(text, fix) : lines.warn(text, fix);
  if (kvm.device === undefined) {
    report(
      "/dev/kvm does not exist",
      `${loadKvm()}; [ -e /dev/kvm ] || ${MAKE_KVM} # without ${arch.kvm.feature} in the firmware setup, ` +
        "or nested virtualisation on the host of this machine, only emulation is left: " +
        'accelerator = "tcg" in the configuration',
    );
    return lines.lines;
  }
  if (!kvm.usable) {
    const { reason, fix } = splitReason(kvm.reason ?? "it makes no virtual machine");
    report(`/dev/kvm cannot be used: ${reason}`, fix);
    return lines.lines;
  }
  lines.ok(
    `${describeDevice(kvm.device, facts)}, API ${kvm.apiVersion}: a virtual machine was created`,
  );
  if (!processor.hasVirtualisation) {
    lines.warn(
      "the processor does not show its own virtualisation: KVM is emulated here, and guests are slow",
      "for speed use a machine, or a virtual one with nested virtualisation",
    );
  } else if (processor.isGuest) lines.ok("this machine is itself a virtual one: KVM is nested");
  return lines.lines;
}

/** Reasons of `probeKvm` end with what to do, after a colon. */
function splitReason(reason: string): { reason: string; fix: string } {
  const colon = reason.indexOf(": ");
  if (colon < 0 || reason.includes("kernel module")) return { reason, fix: loadKvm() };
  return { reason: reason.slice(0, colon), fix: reason.slice(colon + 2) };
}

function loadKvm(): string {
  return arch.kvm.modules.split(" or ").map((it) => `modprobe ${it}`).join(" || ");
}

/** Devices besides KVM. */
export function checkDevices(facts: NodeFacts): Line[] {
  const lines = new Lines("network");
  if (facts.tun === undefined) {
    lines.fail("/dev/net/tun does not exist: guests have no network", LOAD_TUN);
  } else lines.ok(describeDevice(facts.tun, facts));
  checkVhost(facts, lines);
  return lines.lines;
}

function checkVhost({ vhostNet, configuration: { values } }: NodeFacts, lines: Lines): void {
  const isWanted = values.monitors.qemu?.vhost === true;
  if (vhostNet === undefined) {
    if (!isWanted) return;
    const text = "monitors.qemu.vhost is true, and there is no /dev/vhost-net: guests cannot start";
    lines.fail(text, "modprobe vhost_net");
  } else {
    const use = isWanted ? "and used" : "and not used (monitors.qemu.vhost)";
    lines.ok(`/dev/vhost-net is there, ${use}`);
  }
}

/** `/dev/kvm, root:kvm (0:105), mode 0660` */
export function describeDevice(device: DeviceFacts, { groupNames }: NodeFacts): string {
  const group = groupNames[device.gid];
  const owner = `uid ${device.uid}, group ${device.gid}${group === undefined ? "" : ` (${group})`}`;
  const acl = device.acl === undefined ? "" : ", an access control list";
  return `${device.path}: ${owner}, mode ${device.mode.toString(8).padStart(4, "0")}${acl}`;
}

/** cgroups, and whether everybody uses the same driver. */
export function checkCgroups(facts: NodeFacts): Line[] {
  const lines = new Lines("cgroups");
  const { mode, controllers, systemd } = facts.cgroups;
  if (mode === "none") {
    lines.fail("no cgroups are mounted", "mount -t cgroup2 none /sys/fs/cgroup");
    return lines.lines;
  }
  lines.ok(
    `version ${mode.replace("v", "")}, ${systemd ? "booted with systemd" : "without systemd"}`,
  );
  for (const { names, what, isRequired } of NEEDED_CONTROLLERS) {
    if (names.some((it) => controllers.includes(it))) continue;
    const text = `the controller ${names[0]} is missing: no ${what}`;
    const fix = names[0] === "memory"
      ? "boot with cgroup_enable=memory"
      : "boot without cgroup_disable=" + names[0];
    if (isRequired) lines.fail(text, fix);
    else lines.warn(text, fix);
  }
  checkDrivers(facts, lines);
  return lines.lines;
}

/** systemd moves processes that others put into its cgroups: all of a node use one driver. */
function checkDrivers(
  { cgroups, containerd, crio, docker, podman, kubelet }: NodeFacts,
  lines: Lines,
): void {
  if (!cgroups.systemd) {
    const asking = [
      ...docker?.cgroupDriver === "systemd" ? [`docker (${docker.path}, exec-opts)`] : [],
      ...podman?.cgroupManager === "systemd" ? ["podman (containers.conf, cgroup_manager)"] : [],
      ...crio?.cgroupManager === "systemd" ? ["CRI-O (crio.conf, cgroup_manager)"] : [],
      ...kubelet?.cgroupDriver === "systemd" ? [`the kubelet (${kubelet.path}, cgroupDriver)`] : [],
    ];
    for (const who of asking) {
      lines.fail(
        `${who} is configured for systemd's cgroups, and this machine was not booted with systemd`,
        "configure cgroupfs there",
      );
    }
  }
  if (kubelet === undefined) return;
  const handler = containerd?.runtimes.urunc;
  if (handler !== undefined) {
    const driver = handler.systemdCgroup ? "systemd" : "cgroupfs";
    if (driver !== kubelet.cgroupDriver) {
      reportMismatch(lines, kubelet, "containerd's runtime urunc", driver);
    }
  }
  if (crio?.cgroupManager !== undefined && crio.cgroupManager !== kubelet.cgroupDriver) {
    reportMismatch(lines, kubelet, "CRI-O", crio.cgroupManager);
  }
}

function reportMismatch(
  lines: Lines,
  kubelet: NonNullable<NodeFacts["kubelet"]>,
  who: string,
  driver: string,
): void {
  const fix = who === "CRI-O"
    ? `set cgroup_manager = "${kubelet.cgroupDriver}" in /etc/crio/crio.conf`
    : `set SystemdCgroup = ${
      kubelet.cgroupDriver === "systemd"
    } in the table options of the runtime ` +
      "urunc in /etc/containerd/config.toml";
  lines.fail(
    `the kubelet uses the cgroup driver ${kubelet.cgroupDriver} (${kubelet.path}), and ${who} ${driver}`,
    fix,
  );
}
