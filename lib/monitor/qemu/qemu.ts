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
import type { Monitor, MonitorDevice, MonitorDisk, MonitorInput } from "../types.ts";

/**
 * One machine for every guest. q35 has what stock guests look for: PCI by port I/O, a keyboard
 * controller to reset by, ACPI with a power button. Its disk and bus controllers are left out.
 */
const MACHINE = [
  "q35",
  "sata=off",
  "smbus=off",
  "usb=off",
  "vmport=off",
  "dump-guest-core=off", // a core file of the monitor must not hold the guest's memory
  "mem-merge=off", // same-page merging lets guests observe one another
].join(",");

/**
 * qboot boots bzImage, PVH and multiboot kernels given by `-kernel`, and nothing else. Measured to the
 * guest's first line: 0.1 s against SeaBIOS's 1.3 s where KVM interprets instructions, 0.04 s against
 * 0.07 s with TCG. It leaves PCI devices without addresses and reserves no memory above a guest's RAM,
 * which not every guest can do with (`Guest.needsBios`).
 *
 * On Debian all of these are regular files; on Fedora /usr/share/qemu has links to some of them.
 */
const FIRMWARE: Monitor["firmware"] = {
  qboot: {
    paths: [
      "/usr/share/qemu/qboot.rom",
      "/usr/share/qboot/qboot.rom",
      "/usr/local/share/qemu/qboot.rom",
    ],
    debianPackage: "qemu-system-data",
  },
  seabios: {
    paths: [
      "/usr/share/seabios/bios-256k.bin",
      "/usr/share/qemu/bios-256k.bin",
      "/usr/local/share/qemu/bios-256k.bin",
    ],
    debianPackage: "seabios",
  },
};

/** Guests end with a code by writing it here: QEMU then exits with 2 * code + 1. */
const DEBUG_EXIT_DEVICE = "isa-debug-exit,iobase=0x501,iosize=2";

/**
 * By which a guest says that it panicked (docs/specs/pvpanic.rst): at a port, since its PCI variant
 * would need an address, and Unikraft knows only the port. QEMU then stops the guest's processor at
 * once, so that nothing it does later changes the exit code, and exits with 1, or as the debug exit port
 * was told before.
 */
const PANIC = ["-device", "pvpanic", "-action", "panic=exit-failure"];

/** No obsolete calls, no change of identity, no fork or exec, no change of scheduling: qemu(1). */
const SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

/** virtio-net takes host_mtu from 68 (RFC 791) to 65535: QEMU hw/net/virtio-net.c. */
const MINIMUM_MTU = 68;
const MAXIMUM_MTU = 65535;

/** With 1 MiB there is no memory where kernels are loaded to; 2 MiB is the first to boot. */
const MINIMUM_MEMORY_MIB = 2;

/**
 * Where distributions keep the option ROMs that q35 loads (pvh.bin, kvmvapic.bin, linuxboot_dma.bin,
 * multiboot_dma.bin). iPXE's directory is not needed.
 */
const firmwareDirectories = ["/usr/share/qemu", "/usr/local/share/qemu"];

/** QEMU's x86-64 system emulator. */
export const qemu: Monitor = {
  name: "qemu",
  title: "QEMU",
  namesKernel: true,
  guests: ["linux", "elf", "unikraft", "mirage", "mewz"],
  debianPackage: "qemu-system-x86",
  binaryNames: ["qemu-system-x86_64"],
  dataPaths: firmwareDirectories,
  firmwareDirectories,
  firmware: FIRMWARE,
  memoryOverheadBytes,
  minimumMemoryMiB: MINIMUM_MEMORY_MIB,
  accelerators: ["kvm", "tcg"],
  takesInitrd: true,
  mostDisks: 8,
  readOnlyDisks: true,
  takesDescriptors: true,
  devices,
  exitCode,
  debugExit: true,
  // Handled as SIGINT and SIGHUP are: devices are flushed, and the exit code is 0.
  endSignal: SIGTERM,
  stop: async (guest) => (await import("./running/stop.ts")).stopGuest(guest),
  argv,
};

function devices(input: { accelerator: "kvm" | "tcg"; network: boolean }): MonitorDevice[] {
  const nodes: MonitorDevice[] = [];
  if (input.accelerator === "kvm") nodes.push("kvm");
  if (input.network) nodes.push("net/tun");
  return nodes;
}

/**
 * isa-debug-exit makes QEMU exit with 2 * code + 1 (hw/misc/debugexit.c), so a guest can tell 1 to
 * 127. An exit code of 1 is QEMU's own failure, which must not pass for a guest's success: a guest
 * succeeds by resetting or powering off, with which QEMU exits 0.
 */
function exitCode(monitorExitCode: number): number {
  const fromGuest = monitorExitCode > 1 && monitorExitCode % 2 === 1;
  return fromGuest ? (monitorExitCode - 1) / 2 : monitorExitCode;
}

/**
 * Every option has its own element, and so has every value: the kernel's path and the guest's
 * command line are whole elements after `-kernel` and `-append`, which QEMU takes as they are,
 * even when they begin with `-` or hold `,`.
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
    // Nothing that is not asked for: no default devices, no configuration of the host's QEMU.
    "-nodefaults",
    "-no-user-config",
    ...["-display", "none"],
    // A guest that resets has ended, with success.
    "-no-reboot",
    ...["-sandbox", SANDBOX],
    ...input.firmwareDirectories.flatMap((directory) => ["-L", firmwareDirectory(directory)]),
    ...(input.firmware === undefined ? [] : ["-bios", path("firmware", input.firmware)]),
    // The serial port is stdin and stdout: no multiplexer whose escape key reaches a monitor
    // prompt, and interrupt characters of a terminal go to the guest.
    ...["-chardev", "stdio,id=console,mux=off,signal=off"],
    ...["-serial", "chardev:console"],
    ...["-monitor", "none"],
    ...control(input),
    ...["-device", DEBUG_EXIT_DEVICE],
    ...PANIC,
    ...network(input),
    ...(input.disks ?? []).flatMap(disk),
    ...["-kernel", path("kernel", input.kernel)],
    ...(input.initrd === undefined ? [] : ["-initrd", initrd(input.initrd)]),
    ...(input.commandLine === undefined ? [] : ["-append", commandLine(input.commandLine)]),
  ];
}

function accelerator(input: MonitorInput): string[] {
  return input.accelerator === "kvm"
    ? [...kvm(input), "-cpu", hostProcessor(input)]
    : ["-accel", `tcg,tb-size=${translationBufferMiB(input.memoryMiB)}`, "-cpu", "max"];
}

/** The property `device` is there since QEMU 9.0; before, it is an error that names it. */
function kvm({ kvmFd }: MonitorInput): string[] {
  if (kvmFd === undefined) return ["-accel", "kvm"];
  return [...descriptor(kvmFd), "-accel", `kvm,device=/dev/fdset/${kvmFd}`];
}

/**
 * AMD's processors have no register IA32_ARCH_CAPABILITIES. KVM emulates one all the same, which
 * QEMU before 10.1 hands on, and dies when KVM then refuses the value.
 */
function hostProcessor({ processorVendor }: MonitorInput): string {
  const isAmd = processorVendor === "AuthenticAMD" || processorVendor === "HygonGenuine";
  return isAmd ? "host,arch-capabilities=off" : "host";
}

/** Commands come from a socket that is open and listens already: there is no path in the clean room. */
function control({ controlFd }: MonitorInput): string[] {
  if (controlFd === undefined) return [];
  checkCount(checked("control descriptor"), controlFd, 3);
  return [
    ...["-chardev", `socket,id=control,fd=${controlFd},server=on,wait=off`],
    ...["-mon", "chardev=control,mode=control"],
  ];
}

function network({ network }: MonitorInput): string[] {
  // -nodefaults has already taken away the network card that QEMU would invent.
  if (network === undefined) return [];
  checkMac(checked("MAC address"), network.mac);
  checkCount(checked("network MTU in bytes"), network.mtu, MINIMUM_MTU, MAXIMUM_MTU);
  const { tap, tapFd } = network;
  if (tapFd !== undefined) checkCount(checked("descriptor"), tapFd, 3);
  const attached = tapFd === undefined
    ? `ifname=${value("tap name", tap)},script=no,downscript=no`
    : `fd=${tapFd}`;
  return [
    ...["-netdev", `tap,id=net0,${attached}`],
    // No boot ROM: guests are never booted from the network, and it would be one more data file.
    "-device",
    `virtio-net-pci,netdev=net0,mac=${network.mac},romfile=` +
    (network.hideMtu ? "" : `,host_mtu=${network.mtu}`) +
    // Otherwise it is both, with the identity of an old one.
    (network.modern ? ",disable-legacy=on,disable-modern=off" : ""),
  ];
}

/**
 * `file` refuses a device and `host_device` a file (block/file-posix.c). QEMU's own locks are off: it
 * would try in a /dev/null that is not there whether it can have any, say so on standard error, and
 * have none. Who writes to a disk holds a claim of ours instead (launch/steps/disk_claims.ts). Content is
 * raw and said to be: a guest could otherwise write the header of a format that names other files.
 *
 * What the guest discards is given back to the host, so that a file shrinks again. virtio-blk has no way
 * to say that a disk does not rotate: Linux takes every one for such that does.
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
    `virtio-blk-pci,drive=${node}` +
    (serial === undefined ? "" : `,serial=${checkSerial(checked("serial number"), serial)}`),
  ];
}

/** Puts an inherited descriptor where QEMU finds it by a path. */
function descriptor(fd: number): string[] {
  checkCount(checked("descriptor"), fd, 3);
  return ["-add-fd", `fd=${fd},set=${fd}`];
}

/** A value inside a comma-separated option, where QEMU reads `,,` as one comma. */
function value(what: string, text: string): string {
  if (text === "") throw refused(what, text, "it is empty");
  // deno-lint-ignore no-control-regex -- refusing them is the point
  if (/[\x00-\x1f\x7f]/.test(text)) throw refused(what, text, "it holds a control character");
  return text.replaceAll(",", ",,");
}

/** A path that is an element of its own and so needs no escaping. */
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

/** The guest's command line is free text; only what ends a C string cannot be told. */
function commandLine(text: string): string {
  if (text.includes("\0")) throw refused("guest command line", text, "it holds a NUL character");
  return text;
}

function checked(what: string): Checked {
  return { monitor: "qemu", what };
}

function refused(what: string, found: string, reason: string): InvalidConfigurationError {
  return refusedValue(checked(what), found, reason);
}
