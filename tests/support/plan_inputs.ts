/** Inputs of planning that need no machine: a Debian node's facts and small specs. */
import { defaultConfiguration } from "../../lib/config/parse.ts";
import type { HostFacts } from "../../lib/inspect/types.ts";
import { qemu } from "../../lib/monitor/qemu/qemu.ts";
import type { NetworkFacts } from "../../lib/network/types.ts";
import { parseSpec } from "../../lib/oci/parse.ts";
import type { Spec } from "../../lib/oci/types.ts";
import type { LaunchInput } from "../../lib/plan/launch_input.ts";
import type { Step } from "../../lib/plan/types.ts";
import type { KernelFormat, Solo5Device } from "../../lib/guest/kernel/types.ts";
import { guestOf } from "../../lib/guest/families/registry.ts";

/** config.json as docker would write it, less what planning does not look at. */
export function specOf(changes: Record<string, unknown> = {}): Spec {
  return parseSpec(JSON.stringify({
    ociVersion: "1.2.0",
    hostname: "guest",
    root: { path: "rootfs" },
    process: {
      user: { uid: 65534, gid: 65534 },
      args: ["hello", "world"],
      cwd: "/",
      capabilities: { bounding: ["CAP_CHOWN"], effective: ["CAP_CHOWN"] },
    },
    linux: {
      namespaces: ["pid", "network", "ipc", "uts", "mount"].map((type) => ({ type })),
    },
    ...changes,
  }));
}

/**
 * A kernel that a monitor of that name starts.
 *
 * @param devices of a Solo5 guest's manifest; none by default
 */
export function kernelFormatFor(monitor: string, devices: Solo5Device[] = []): KernelFormat {
  const elf: KernelFormat = {
    kind: "elf",
    bits: 64,
    isProgram: true,
    pvh: true,
    memoryEnd: 1024 * 1024 + 4096,
  };
  const isTender = monitor === "hvt" || monitor === "spt";
  return isTender ? { ...elf, pvh: false, solo5: { target: monitor, devices } } : elf;
}

const DEFAULT_KERNEL = kernelFormatFor("qemu");

/** A Debian 13 node with /dev/kvm and QEMU. */
export function factsOf(changes: Partial<HostFacts> = {}): HostFacts {
  return {
    kvm: {
      usable: true,
      apiVersion: 12,
      device: {
        path: "/dev/kvm",
        type: "char",
        major: 10,
        minor: 232,
        uid: 0,
        gid: 104,
        mode: 0o660,
      },
    },
    tun: {
      path: "/dev/net/tun",
      type: "char",
      major: 10,
      minor: 200,
      uid: 0,
      gid: 0,
      mode: 0o666,
    },
    cgroups: { mode: "none", v1: {} },
    libraries: ["/lib/libc.so.6", "/lib64/ld-linux.so.2", "/usr/lib/libglib-2.0.so.0"],
    monitor: {
      binary: "/usr/bin/qemu-system-x86_64",
      dataPaths: [{ path: "/usr/share/qemu", kind: "directory" }, {
        path: "/usr/share/qemu/qboot.rom",
        kind: "file",
      }],
      firmware: "/usr/share/qemu/qboot.rom",
    },
    kernel: { path: "/unikernel/guest.elf", size: 4096, uid: 0, gid: 0, mode: 0o644 },
    kernelFormat: DEFAULT_KERNEL,
    ...changes,
  };
}

/** The interface that docker's bridge gives a container. */
export const NETWORK: NetworkFacts = {
  name: "eth0",
  index: 2,
  mac: "02:42:ac:11:00:02",
  mtu: 1500,
  addresses: [{ family: "inet", address: "172.17.0.2", prefixLength: 16 }],
  gateway: { inet: "172.17.0.1" },
};

/** Everything that the second plan is made from; a PVH guest on KVM without a network. */
export function launchInputOf(changes: Partial<LaunchInput> = {}): LaunchInput {
  const spec = changes.spec ?? specOf();
  const input: LaunchInput = {
    spec,
    guestUser: spec.process.user,
    filesUser: spec.process.user,
    unikernel: {
      unikernelType: "elf",
      hypervisor: "qemu",
      binary: "/unikernel/guest.elf",
      accelerator: "kvm",
    },
    guest: guestOf("elf"),
    monitor: qemu,
    configuration: defaultConfiguration(),
    facts: factsOf(),
    paths: {
      rootfs: "/bundle/rootfs",
      mountPoint: "/run/urunc/ID/root",
      startSocket: "/run/urunc/ID/start.sock",
      controlSocket: "/run/urunc/ID/control.sock",
      execDirectory: "/run/urunc/ID/exec",
      console: "/run/urunc/ID/console",
    },
    newKeyring: true,
    ...changes,
  };
  const { monitor, facts, network } = input;
  if (!monitor.attachesManifest || facts.kernelFormat !== DEFAULT_KERNEL) return input;
  // A Solo5 guest that declares what it is given.
  const devices: Solo5Device[] = [
    ...network === undefined ? [] : [{ name: "service", kind: "network" as const }],
    ...(facts.disks ?? []).map((_, index) => ({
      name: `storage${index === 0 ? "" : index}`,
      kind: "block" as const,
    })),
  ];
  const kernelFormat = kernelFormatFor(monitor.name, devices);
  return { ...input, facts: { ...facts, kernelFormat } };
}

/** The steps of a kind, in their order. */
export function stepsNamed<Name extends Step["step"]>(
  steps: Step[],
  name: Name,
): Extract<Step, { step: Name }>[] {
  return steps.filter((it): it is Extract<Step, { step: Name }> => it.step === name);
}
