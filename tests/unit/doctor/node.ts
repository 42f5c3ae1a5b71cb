/** Facts of a node on which nothing is wrong. */
import { defaultConfiguration } from "../../../lib/config/parse.ts";
import type { Configuration } from "../../../lib/config/types.ts";
import type { NodeFacts } from "../../../lib/doctor/facts.ts";
import type { DeviceFacts } from "../../../lib/host/types.ts";

export function device(path: string, facts: Partial<DeviceFacts> = {}): DeviceFacts {
  return { path, type: "char", major: 10, minor: 232, uid: 0, gid: 108, mode: 0o660, ...facts };
}

/** Facts about the configuration file, of which some values are set. */
export function configured(values: Partial<Configuration>): Pick<NodeFacts, "configuration"> {
  return {
    configuration: {
      path: "/etc/urunc/config.toml",
      isThere: true,
      findings: [],
      values: { ...defaultConfiguration(), ...values },
    },
  };
}

/** A node where docker, containerd, CRI-O and podman have the runtime, and pods a network. */
export function healthyNode(): NodeFacts {
  return {
    urunc: {
      version: "1.0.0",
      commit: "0".repeat(40),
      executable: "/usr/local/bin/urunc",
      shim: { path: "/usr/local/bin/containerd-shim-urunc-v2", isThisExecutable: true },
    },
    kernel: { release: "6.12.0", machine: "x86_64", seccomp: true, landlock: 6 },
    kvm: { device: device("/dev/kvm"), usable: true, apiVersion: 12 },
    processor: { vendor: "GenuineIntel", isGuest: false, hasVirtualisation: true },
    tun: device("/dev/net/tun", { gid: 0, mode: 0o666, minor: 200 }),
    groupNames: { 0: "root", 108: "kvm" },
    ...configured({}),
    monitors: {
      qemu: found("/usr/bin/qemu-system-x86_64", "10.0.3", false, true),
      firecracker: found("/usr/bin/firecracker", "1.7.0", true, false),
      hvt: found("/usr/bin/solo5-hvt", "0.9.0", true, false),
      spt: found("/usr/bin/solo5-spt", "0.9.0", false, false),
    },
    firmware: { "qemu.qboot": { path: "/usr/share/qemu/qboot.rom" } },
    cgroups: { mode: "v2", controllers: ["cpu", "cpuset", "io", "memory", "pids"], systemd: true },
    security: { apparmor: true },
    fileServer: { path: "/usr/libexec/virtiofsd", version: "1.13.2" },
    runtime: { program: "runc", path: "/usr/sbin/runc", version: "1.1.15" },
    containerd: {
      version: "1.7.24",
      path: "/etc/containerd/config.toml",
      criDisabled: false,
      runtimes: {
        urunc: {
          type: "io.containerd.urunc.v2",
          systemdCgroup: true,
          privilegedWithoutHostDevices: true,
          podAnnotations: ["com.urunc.unikernel.*"],
          containerAnnotations: ["com.urunc.unikernel.*"],
        },
      },
      snapshotter: "overlayfs",
      cni: { binaries: "/opt/cni/bin", configuration: "/etc/cni/net.d" },
    },
    docker: {
      path: "/etc/docker/daemon.json",
      isThere: true,
      runtimes: { urunc: { type: "io.containerd.urunc.v2" } },
      running: { runtimes: ["runc", "urunc"], version: "26.1.5", cgroupDriver: "systemd" },
    },
    crio: {
      runtimes: {
        urunc: {
          path: "/usr/local/bin/urunc",
          type: "oci",
          isExecutable: true,
          allowedAnnotations: [],
        },
      },
      cgroupManager: "systemd",
    },
    podman: { version: "5.4.2", runtimes: { urunc: ["/usr/local/bin/urunc"] } },
    kubelet: { path: "/var/lib/kubelet/config.yaml", cgroupDriver: "systemd" },
    cni: {
      configuration: "/etc/cni/net.d",
      binaries: "/opt/cni/bin",
      network: { file: "/etc/cni/net.d/10-net.conflist", name: "net", missing: [] },
    },
    containers: [{ root: "/run/urunc", id: "c1", status: "running" }],
    subordinateIds: [{ name: "user", start: 100000, count: 65536 }],
  };
}

function found(path: string, version: string, needsKvm: boolean, takesDescriptors: boolean) {
  return { path, version, needsKvm, takesDescriptors, package: path.split("/").at(-1)! };
}
