import { arch } from "../../arch/arch.ts";
import type { InvalidConfigurationError } from "../../errors.ts";
import {
  checkCount,
  type Checked,
  checkMac,
  checkPath,
  checkSerial,
  refusedValue,
} from "../checks.ts";
import { memoryOverheadBytes, translationBufferMiB } from "./memory.ts";
import { SIGTERM } from "../signals.ts";
import { KVM_THREADS } from "../threads.ts";
import type { ElfKernel, LinuxImage } from "../../guest/kernel/types.ts";
import { portDevice } from "./qmp.ts";
import type {
  KernelRefusal,
  Monitor,
  MonitorDevice,
  MonitorDisk,
  MonitorInput,
  MonitorNetwork,
} from "../types.ts";

/** The same machine for every guest. */
const MACHINE = [
  ...arch.qemu.machine,
  "dump-guest-core=off", // a core file of the monitor must not hold the guest's memory
  "mem-merge=off", // same-page merging lets guests observe one another
].join(",");

/**
 * By which a guest says that it panicked (docs/specs/pvpanic.rst). QEMU then stops the guest's processor at
 * once, so that nothing it does later changes the exit code, and exits with 1, or with what was
 * written to the debug exit port before.
 */
const PANIC = ["-device", arch.qemu.panicDevice, "-action", "panic=exit-failure"];

/** No obsolete calls, no change of identity, no fork or exec, no change of scheduling: qemu(1). */
const SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

/** virtio-net takes host_mtu from 68 (RFC 791) to 65535: QEMU hw/net/virtio-net.c. */
const MINIMUM_MTU = 68;
const MAXIMUM_MTU = 65535;

/** With 1 MiB there is no memory where kernels are loaded to; 2 MiB is the first to boot. */
const MINIMUM_MEMORY_MIB = 2;

const OWN_THREADS = 3;

/**
 * How many threads read and write for all disks together. It is 64 without an option, and QEMU aborts when
 * the cgroup does not allow one. Of QEMU 7.1 and later.
 */
const POOL_THREADS = 16;

/** QEMU's system emulator. */
export const qemu: Monitor = {
  name: "qemu",
  title: "QEMU",
  namesKernel: true,
  guests: ["linux", "elf", "unikraft", "mirage", "mewz"],
  kernels: arch.qemu.kernels,
  linuxParameters: arch.qemu.linuxParameters,
  refuseKernel,
  debianPackage: arch.qemu.debianPackage,
  calledInVersion: "QEMU",
  binaryNames: arch.qemu.binaryNames,
  dataPaths: arch.qemu.romDirectories,
  modulePaths: arch.qemu.modulePaths,
  firmwareDirectories: arch.qemu.romDirectories,
  firmware: arch.qemu.firmware,
  memoryOverheadBytes,
  threads,
  // More need x2APIC and an IOMMU.
  maximumVcpus: 255,
  minimumMemoryMiB: MINIMUM_MEMORY_MIB,
  accelerators: ["kvm", "tcg"],
  takesInitrd: true,
  mostDisks: 8,
  readOnlyDisks: true,
  takesDescriptors: true,
  usesVhost: true,
  devices,
  debugExit: true,
  // What the waiter asks after each event STOP (RunState, qapi/run-state.json).
  failures: { texts: ['"internal-error"'] },
  agentChannel: "ports",
  sharesFiles: true,
  readsInput: true,
  // Handled like SIGINT and SIGHUP: devices are flushed.
  endSignal: SIGTERM,
  stop: async (guest) => (await import("./running/stop.ts")).stopGuest(guest),
  addPort: async (guest, index) => (await import("./running/ports.ts")).addPort(guest, index),
  argv,
};

/** As its loaders judge them. */
function refuseKernel(kernel: ElfKernel | LinuxImage): KernelRefusal | undefined {
  if (kernel.kind === "linuxImage" || kernel.pvh) return undefined;
  const { solo5, multiboot, bits } = kernel;
  if (solo5 !== undefined && solo5.target !== "virtio") {
    const reason = `it is a Solo5 guest for ${solo5.target}`;
    return { reason, remedy: `use ${solo5.target}, or link it for virtio` };
  }
  if (multiboot === undefined) {
    return {
      reason: `it is an ELF file of ${bits} bits with neither a PVH note nor a multiboot header`,
      remedy:
        `a Linux kernel has the note with CONFIG_PVH=y, and its ${arch.linux.imageName} needs none`,
    };
  }
  if (bits === 32 || multiboot.ownAddresses) return undefined;
  return {
    reason: "it is a multiboot kernel of 64 bits",
    remedy: `convert it: ${arch.qemu.convertToElf32}`,
  };
}

/**
 * Its own: the main one, the one of RCU, and that of its monitors' connections (monitor_iothread_init() in
 * monitor/monitor.c). One for each processor. With KVM the kernel's, which recovers large pages
 * (kvm_mmu_post_init_vm()). With disks those that read and write, twice: a thread that has left the pool
 * may not have exited when another takes its place (util/thread-pool.c). The kernel's for an interface whose
 * packets it moves (vhost_task_create(), a kthread before Linux 6.4).
 */
function threads({ vcpus, disks, vhosts, accelerator }: Parameters<Monitor["threads"]>[0]): number {
  const kernel = accelerator === "kvm" ? KVM_THREADS : 0;
  return OWN_THREADS + vcpus + kernel + vhosts + (disks > 0 ? 2 * POOL_THREADS : 0);
}

function devices(input: { accelerator: "kvm" | "tcg"; network: boolean }): MonitorDevice[] {
  const nodes: MonitorDevice[] = [];
  if (input.accelerator === "kvm") nodes.push("kvm");
  if (input.network) nodes.push("net/tun");
  return nodes;
}

/**
 * Every option and every value is an element of its own: the kernel's path and the guest's command
 * line are whole elements after `-kernel` and `-append`, which QEMU takes as they are, even when they
 * begin with `-` or contain `,`.
 */
function argv(input: MonitorInput): string[] {
  checkCount(checked("guest memory in MiB"), input.memoryMiB, MINIMUM_MEMORY_MIB);
  checkCount(checked("processors"), input.vcpus, 1);
  return [
    path("monitor binary", input.binary),
    ...["-machine", MACHINE],
    ...accelerator(input),
    ...["-smp", `cpus=${input.vcpus}`],
    ...["-m", `size=${input.memoryMiB}M`],
    // Neither default devices nor a configuration of the host's QEMU.
    "-nodefaults",
    "-no-user-config",
    ...["-display", "none"],
    // A guest that resets has exited successfully.
    "-no-reboot",
    ...["-sandbox", SANDBOX],
    ...input.firmwareDirectories.flatMap((directory) => ["-L", firmwareDirectory(directory)]),
    ...(input.firmware === undefined ? [] : ["-bios", path("firmware", input.firmware)]),
    // The serial port is stdin and stdout: without a multiplexer, whose escape key would lead to a
    // monitor prompt, and with a terminal's interrupt characters passed to the guest.
    ...["-chardev", "stdio,id=console,mux=off,signal=off"],
    ...["-serial", "chardev:console"],
    ...["-monitor", "none"],
    ...control(input),
    ...events(input),
    ...["-device", arch.qemu.exitDevice],
    ...PANIC,
    ...networks(input).flatMap(network),
    ...pool(input),
    ...(input.disks ?? []).flatMap(disk),
    ...agentPorts(input),
    ...entropy(input),
    ...files(input),
    ...["-kernel", path("kernel", input.kernel)],
    ...(input.initrd === undefined ? [] : ["-initrd", initrd(input.initrd)]),
    ...(input.commandLine === undefined ? [] : ["-append", commandLine(input.commandLine)]),
  ];
}

function accelerator(input: MonitorInput): string[] {
  return input.accelerator === "kvm"
    ? [...kvm(input), "-cpu", arch.qemu.hostProcessor(input.processorVendor)]
    : ["-accel", `tcg,tb-size=${translationBufferMiB(input.memoryMiB)}`, "-cpu", "max"];
}

/** QEMU has the property `device` since 9.0; older versions fail with an error that names it. */
function kvm({ kvmFd }: MonitorInput): string[] {
  if (kvmFd === undefined) return ["-accel", "kvm"];
  return [...descriptor(kvmFd), "-accel", `kvm,device=/dev/fdset/${kvmFd}`];
}

/** Commands come from a socket that already listens: it has no path in the clean room. */
function control({ controlFd }: MonitorInput): string[] {
  if (controlFd === undefined) return [];
  checkCount(checked("control descriptor"), controlFd, 3);
  return [
    ...["-chardev", `socket,id=control,fd=${controlFd},server=on,wait=off`],
    ...["-mon", "chardev=control,mode=control"],
  ];
}

/** The other end is the waiter's, which ends a QEMU that stands still after an internal error. */
function events({ eventsFd }: MonitorInput): string[] {
  if (eventsFd === undefined) return [];
  checkCount(checked("events descriptor"), eventsFd, 3);
  return [
    ...["-chardev", `socket,id=events,fd=${eventsFd}`],
    ...["-mon", "chardev=events,mode=control"],
  ];
}

function pool({ disks = [] }: MonitorInput): string[] {
  if (disks.length === 0) return [];
  return ["-object", `main-loop,id=main-loop,thread-pool-max=${POOL_THREADS}`];
}

/** virtio-serial: a bus, and on it a port for each file, by which the guest's agent finds them. */
function agentPorts({ ports }: MonitorInput): string[] {
  if (ports === undefined) return [];
  const { exec, execLater, ...files } = ports;
  // Port 0 is a console's. The guest makes two queues for each that there may be.
  const most = 1 + Object.keys(files).length + exec.length + execLater.length;
  return [
    ...["-device", `virtio-serial-pci,id=agent,max_ports=${most}`],
    ...Object.entries(files).flatMap(([name, fd]) => agentPort(name, fd)),
    ...exec.flatMap((fd, index) => agentPort(`exec.${index}`, fd, LISTENING)),
    ...execLater.flatMap((fd, index) => portSocket(`exec.${exec.length + index}`, fd, LISTENING)),
  ];
}

const LISTENING = ",server=on,wait=off";

function agentPort(name: string, fd: number, options = ""): string[] {
  const { driver, ...properties } = portDevice(name);
  const texts = Object.entries(properties).map(([key, value]) => `,${key}=${value}`);
  return [...portSocket(name, fd, options), "-device", `${driver}${texts.join("")}`];
}

function portSocket(name: string, fd: number, options: string): string[] {
  checkCount(checked(`descriptor of ${name}`), fd, 3);
  return ["-chardev", `socket,id=agent-${name},fd=${fd}${options}`];
}

/** Random numbers of the host's kernel, by getrandom(2): the monitor needs no file for it. */
function entropy({ ports }: MonitorInput): string[] {
  if (ports === undefined) return [];
  return ["-object", "rng-builtin,id=entropy", "-device", "virtio-rng-pci,rng=entropy"];
}

/**
 * virtio-fs, by vhost-user: the file server has the guest's memory, too, which therefore is a file that QEMU
 * makes in that directory and removes at once. Neither is in a core file, or merged with another guest's.
 */
function files({ files, memoryMiB }: MonitorInput): string[] {
  if (files === undefined) return [];
  const { fd, tag, memory } = files;
  checkCount(checked("descriptor of the file server"), fd, 3);
  return [
    "-object",
    `memory-backend-file,id=memory,size=${memoryMiB}M,mem-path=${value("directory", memory)},` +
    "share=on,merge=off,dump=off",
    ...["-machine", "memory-backend=memory"],
    ...["-chardev", `socket,id=files,fd=${fd}`],
    ...["-device", `vhost-user-fs-pci,chardev=files,tag=${value("tag", tag)}`],
  ];
}

/** -nodefaults has already removed QEMU's default network card. */
function networks({ network, furtherNetworks = [] }: MonitorInput): MonitorNetwork[] {
  return network === undefined ? [] : [network, ...furtherNetworks];
}

function network(network: MonitorNetwork, position: number): string[] {
  checkMac(checked("MAC address"), network.mac);
  checkCount(checked("network MTU in bytes"), network.mtu, MINIMUM_MTU, MAXIMUM_MTU);
  // By its name it could not be opened: it is in another network namespace.
  const fd = checkCount(checked("tap descriptor"), network.tapFd ?? -1, 3);
  return [
    ...["-netdev", `tap,id=net${position},fd=${fd}${vhost(network)}`],
    // Without a boot ROM: guests never boot from the network, and it would be another data file.
    "-device",
    `virtio-net-pci,netdev=net${position},mac=${network.mac},romfile=` +
    (network.hideMtu ? "" : `,host_mtu=${network.mtu}`) +
    // Otherwise the device is transitional, with the identity of a legacy one.
    (network.modern ? ",disable-legacy=on,disable-modern=off" : ""),
  ];
}

/** Without a descriptor it would open /dev/vhost-net, which is not there. */
function vhost({ vhostFd }: MonitorNetwork): string {
  if (vhostFd === undefined) return "";
  return `,vhost=on,vhostfd=${checkCount(checked("descriptor of vhost-net"), vhostFd, 3)}`;
}

/**
 * `file` refuses a device and `host_device` a file (block/file-posix.c). QEMU's own locks are off: it
 * would test them with /dev/null, which is not there, complain on standard error, and not lock. Writers
 * hold a claim of ours instead (launch/steps/disk_claims.ts). The format is given as raw: otherwise a
 * guest could write the header of a format that refers to other files.
 *
 * What the guest discards is given back to the host, so that a file shrinks again. virtio-blk cannot
 * report that a disk does not rotate: Linux treats every one as rotating.
 *
 * The guest gets errors of the disk. By default QEMU stops it when the host's disk is full, until somebody
 * makes room and continues it.
 */
function disk({ path: place, fd, kind, readOnly, serial }: MonitorDisk, index: number): string[] {
  const node = `disk${index}`;
  const driver = kind === "device" ? "host_device" : "file";
  // Descriptor sets are numbered as the descriptors are.
  const name = fd === undefined ? value("disk", path("disk", place ?? "")) : `/dev/fdset/${fd}`;
  const access = readOnly ? "read-only=on" : "read-only=off,discard=unmap";
  return [
    ...(fd === undefined ? [] : descriptor(fd)),
    ...[
      "-blockdev",
      `driver=${driver},node-name=${node}-file,filename=${name},locking=off,${access}`,
    ],
    ...["-blockdev", `driver=raw,node-name=${node},file=${node}-file,${access}`],
    "-device",
    `virtio-blk-pci,drive=${node},werror=report,rerror=report` +
    (serial === undefined ? "" : `,serial=${checkSerial(checked("serial number"), serial)}`),
  ];
}

/** Gives an inherited descriptor a path for QEMU. */
function descriptor(fd: number): string[] {
  checkCount(checked("descriptor"), fd, 3);
  return ["-add-fd", `fd=${fd},set=${fd}`];
}

/** A value inside a comma-separated option, where QEMU reads `,,` as one comma. */
function value(what: string, text: string): string {
  if (text === "") throw refused(what, text, "it is empty");
  // deno-lint-ignore no-control-regex -- refusing them is the point
  if (/[\x00-\x1f\x7f]/.test(text)) throw refused(what, text, "it contains a control character");
  return text.replaceAll(",", ",,");
}

/** A path that is an element of its own, which needs no escaping. */
function path(what: string, text: string): string {
  return checkPath(checked(what), text);
}

/** `-L` takes a directory as it is; an absolute one cannot be its `?` or `help`. */
function firmwareDirectory(text: string): string {
  return path("firmware directory", text);
}

/** For multiboot kernels `-initrd` is a list separated by commas, each a file and its arguments. */
function initrd(text: string): string {
  if (/[, ]/.test(text)) {
    throw refused("initrd", text, "QEMU would read a comma or a space as more than one module");
  }
  return path("initrd", text);
}

/** The guest's command line is any text without a NUL, which ends a C string. */
function commandLine(text: string): string {
  if (text.includes("\0")) throw refused("guest command line", text, "it contains a NUL character");
  return text;
}

function checked(what: string): Checked {
  return { monitor: "qemu", what };
}

function refused(what: string, found: string, reason: string): InvalidConfigurationError {
  return refusedValue(checked(what), found, reason);
}
