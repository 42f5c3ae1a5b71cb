import { arch } from "../arch/arch.ts";
import {
  checkCount,
  checkMac,
  checkPath,
  checkTap,
  refuseDescriptors,
  refusedValue,
} from "./checks.ts";
import { SIGKILL } from "./signals.ts";
import { KVM_THREADS } from "./threads.ts";
import type { ElfKernel, LinuxImage } from "../guest/kernel/types.ts";
import type {
  KernelRefusal,
  Monitor,
  MonitorDisk,
  MonitorFile,
  MonitorInput,
  MonitorNetwork,
} from "./types.ts";

const MIB = 1024 * 1024;
const name = "firecracker";

/** Paths of its configuration and its log in the clean room. */
const CONFIGURATION_FILE = "/guest/firecracker.json";
const LOG_FILE = "/guest/firecracker.log";

/**
 * What it logs when a virtual processor cannot go on (vcpu.rs in src/vmm/src/vstate and in src/vmm/src/arch).
 * Its exit code is then 0 or 1, by which of its threads is first. Up to 1.14 a triple fault is not among
 * them, and is 0.
 */
const FAILURES = [
  "Received KVM_EXIT_",
  "Received KVM_SYSTEM_EVENT signal",
  "Received ENOSYS error",
  "Unexpected exit reason on vcpu run",
  "Failure during vcpu run",
];

/**
 * What is left of a command line with what it adds itself: `pci=off`, and
 * ` virtio_mmio.device=4K@0xc0001000:5` for the network, each disk and vsock.
 */
const COMMAND_LINE_BYTES = arch.firecracker.commandLineBytes - 64;
const DEVICE_PARAMETER_BYTES = 40;

/**
 * Measured with 1.16 (e656faf58): 1.1 MiB beside a guest of 16 MiB, 1.4 of 64, 2.1 of 256, 5.4 of 1024,
 * with one processor, kernel memory and page tables included. Everything here is at least half as much
 * again. SPECIFICATION.md allows it 5 MiB.
 */
const PROCESS_BYTES = 2 * MIB;
/** Measured 0.44 %: page tables of its own and of the guest. */
const PAGE_TABLE_SHARE = 1 / 128;
const VCPU_BYTES = 0.5 * MIB;
const NETWORK_BYTES = MIB;
/** Queue and buffers of a disk. */
const DISK_BYTES = MIB;
/**
 * For vsock: three queues of 256 places, and a buffer of 64 KiB for each of up to 22 connections that the
 * host does not read (csm/txbuf.rs in src/vmm/src/devices/virtio/vsock).
 */
const VSOCK_BYTES = 2 * MIB;
/** VMADDR_CID_HOST + 1, linux/vm_sockets.h: the lowest that a guest may have. */
const GUEST_CID = 3;
/** A static binary of 3 MiB. */
const PAGE_CACHE_BYTES = 4 * MIB;
/** A pointer and three bits for each descriptor of its table (alloc_fdtable(), fs/file.c of Linux): measured 8.5. */
const OPEN_FILE_BYTES = 9;

/** MAX_SUPPORTED_VCPUS, src/vmm/src/vmm_config/machine_config.rs. */
const MAXIMUM_VCPUS = 32;

/** The version since which it starts a compressed kernel. */
const WITH_LINUX_IMAGE = [1, 17] as const;

/** MinMtu and MaxMtu, src/vmm/src/devices/virtio/net/device.rs. */
const MTU = { minimum: 68, maximum: 65535 };

/**
 * Firecracker. Its seccomp filters are on: `--no-seccomp` is never used.
 *
 * Arguments and configuration follow its API description (src/firecracker/swagger/firecracker.yaml) and
 * the parsers of 1.16, which was run with Debian's Linux, disks and a network; tests have only a double.
 */
export const firecracker: Monitor = {
  name,
  title: "Firecracker",
  // It adds parameters of its own, which an ELF image could not distinguish from arguments.
  guests: ["linux", "unikraft"],
  linuxParameters: arch.firecracker.linuxParameters,
  // linux-loader, src/cmdline/mod.rs.
  insertsParameters: true,
  reservesVideoMemory: arch.firecracker.reservesVideoMemory,
  kernels: "an uncompressed ELF kernel of 64 bits (vmlinux)",
  refuseKernel,
  versionArguments: ["--version"],
  calledInVersion: "Firecracker",
  binaryNames: ["firecracker"],
  dataPaths: [],
  firmwareDirectories: [],
  // Kernels are loaded from 1 MiB on.
  minimumMemoryMiB: 2,
  accelerators: ["kvm"],
  takesInitrd: true,
  mostDisks: 8,
  readOnlyDisks: true,
  takesDescriptors: false,
  agentChannel: "vsock",
  maximumVcpus: MAXIMUM_VCPUS,
  memoryOverheadBytes({ memoryMiB, vcpus, networks, disks = 0, openFiles = 0, agent = false }) {
    return Math.ceil(
      PROCESS_BYTES + vcpus * VCPU_BYTES + networks * NETWORK_BYTES + disks * DISK_BYTES +
        memoryMiB * MIB * PAGE_TABLE_SHARE + PAGE_CACHE_BYTES + (agent ? VSOCK_BYTES : 0) +
        descriptorTable(openFiles) * OPEN_FILE_BYTES,
    );
  },
  // Its own, one for each processor, and the kernel's. There is no API, which would have one, too.
  threads: ({ vcpus }) => 1 + vcpus + KVM_THREADS,
  devices: ({ network }) => network ? ["kvm", "net/tun"] : ["kvm"],
  // Its exit code: 0 for a guest that resets by the keyboard controller, its orderly way to end; 148 and
  // up for Firecracker's own failures (FcExitCode). A guest cannot report a code.
  readsInput: true,
  // What its serial device cannot write at once is lost (src/vmm/src/devices/legacy/serial.rs).
  dropsOutput: true,
  failures: { texts: FAILURES, log: LOG_FILE },
  // SIGTERM has no handler, and SIGHUP's exits with 156. Asking the guest needs its HTTP API, off.
  endSignal: SIGKILL,
  files,
  argv,
};

/**
 * For how many descriptors the kernel has room after Firecracker used the highest that it may
 * (resize_fdtable(), src/firecracker/src/main.rs): powers of two, at least 128 for pages of 1 KiB of
 * pointers (alloc_fdtable()).
 */
function descriptorTable(openFiles: number): number {
  return openFiles <= 3 ? 0 : Math.max(128, 2 ** Math.ceil(Math.log2(openFiles)));
}

/** linux-loader's ELF loader; from 1.17 on its loader of compressed kernels, too (CHANGELOG.md). */
function refuseKernel(
  kernel: ElfKernel | LinuxImage,
  version: string | undefined,
): KernelRefusal | undefined {
  if (kernel.kind === "linuxImage") {
    if (isSince(version, WITH_LINUX_IMAGE)) return undefined;
    return {
      reason: `it is a ${arch.linux.imageName}, and this is Firecracker ` +
        (version ?? "of an unknown version"),
      remedy: "put the kernel's vmlinux into the image (scripts/extract-vmlinux of Linux unpacks " +
        "it), or use qemu, or Firecracker 1.17",
    };
  }
  if (kernel.bits === 64 && kernel.solo5 === undefined) return undefined;
  const reason = kernel.solo5 === undefined
    ? "it is an ELF file of 32 bits"
    : `it is a Solo5 guest for ${kernel.solo5.target}`;
  return { reason, remedy: "build the kernel for Firecracker" };
}

function isSince(version: string | undefined, least: readonly [number, number]): boolean {
  const [, major, minor] = /^v?(\d+)\.(\d+)/.exec(version ?? "") ?? [];
  if (major === undefined) return false;
  return Number(major) === least[0] ? Number(minor) >= least[1] : Number(major) > least[0];
}

function argv(input: MonitorInput): string[] {
  refuseDescriptors(name, input);
  return [
    checkPath({ monitor: name, what: "monitor binary" }, input.binary),
    "--no-api",
    "--config-file",
    CONFIGURATION_FILE,
    // By default its log is on standard output, between the guest's bytes, and says more than errors. In
    // the configuration it would be too late for the first line.
    ...["--log-path", LOG_FILE],
    ...["--level", "Error"],
  ];
}

/** One JSON document, with everything that the HTTP API would be sent. */
function files(input: MonitorInput): MonitorFile[] {
  return [{ path: CONFIGURATION_FILE, content: JSON.stringify(configuration(input)) }];
}

/** Keys and types: VmmConfig in src/vmm/src/resources.rs; unknown keys are refused there. */
function configuration(input: MonitorInput): Record<string, unknown> {
  const { vcpus, network, furtherNetworks = [], commandLine, disks = [] } = input;
  const networks = network === undefined ? [] : [network, ...furtherNetworks];
  const devices = disks.length + furtherNetworks.length + (input.vsock === undefined ? 0 : 1);
  return {
    "boot-source": {
      kernel_image_path: checkPath({ monitor: name, what: "kernel" }, input.kernel),
      ...(input.initrd === undefined
        ? {}
        : { initrd_path: checkPath({ monitor: name, what: "initrd" }, input.initrd) }),
      // Without one it would use a line of its own, which turns the serial console off.
      boot_args: checkCommandLine(commandLine ?? "", devices),
    },
    "machine-config": {
      vcpu_count: checkCount({ monitor: name, what: "processors" }, vcpus, 1, MAXIMUM_VCPUS),
      mem_size_mib: checkCount(
        { monitor: name, what: "guest memory in MiB" },
        input.memoryMiB,
        firecracker.minimumMemoryMiB,
      ),
    },
    // The key is required, even without disks.
    drives: disks.map(drive),
    "network-interfaces": networks.map(networkInterface),
    ...(input.vsock === undefined ? {} : {
      vsock: {
        guest_cid: GUEST_CID,
        uds_path: checkPath({ monitor: name, what: "vsock socket" }, input.vsock),
      },
    }),
  };
}

function networkInterface(
  { tap, mac, mtu, hideMtu }: MonitorNetwork,
  index: number,
): Record<string, unknown> {
  return {
    iface_id: `net${index + 1}`,
    host_dev_name: checkTap({ monitor: name, what: "tap name" }, tap),
    guest_mac: checkMac({ monitor: name, what: "MAC address" }, mac),
    // Only 1.16 and later know `mtu`, older ones refuse it; 1500 is every guest's default.
    ...(hideMtu || mtu === 1500 ? {} : {
      mtu: checkCount(
        { monitor: name, what: "network MTU in bytes" },
        mtu,
        MTU.minimum,
        MTU.maximum,
      ),
    }),
  };
}

/**
 * None is marked as the root device, which would add `root=` to the command line: a guest's family says
 * what its root is.
 */
function drive({ path, readOnly, serial }: MonitorDisk, index: number): Record<string, unknown> {
  if (path === undefined) {
    const reason = "Firecracker opens its disks by their paths";
    throw refusedValue({ monitor: name, what: "disk" }, serial ?? `disk${index}`, reason);
  }
  return {
    drive_id: `disk${index}`,
    path_on_host: checkPath({ monitor: name, what: "disk" }, path),
    is_root_device: false,
    is_read_only: readOnly,
    // "Unsafe" without it: what a guest flushes would stay in the host's memory.
    cache_type: "Writeback",
  };
}

/**
 * Its command lines are printable ASCII. It trims the parts before and after the first ` -- `
 * (linux-loader, src/cmdline/mod.rs), between which it puts its own parameters.
 */
function checkCommandLine(text: string, devices: number): string {
  const checked = { monitor: name, what: "guest command line" };
  if (/[^\x20-\x7e]/.test(text)) {
    throw refusedValue(checked, text, "Firecracker takes printable ASCII characters only");
  }
  const room = COMMAND_LINE_BYTES - devices * DEVICE_PARAMETER_BYTES;
  if (text.length < room) return text;
  const most = room - 1;
  throw refusedValue(checked, text, `it is ${text.length} bytes long; there is room for ${most}`);
}
