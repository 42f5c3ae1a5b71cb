import type { AgentPorts, MonitorInput, MonitorNetwork } from "../monitor/types.ts";
import type { User } from "../oci/types.ts";
import type { PlannedDevices } from "./devices.ts";
import type { PlannedDisks } from "./disks.ts";
import { checkSolo5CommandLine } from "./solo5.ts";
import { guestMemoryMiB } from "./memory.ts";
import { takenInterfaces } from "./network.ts";
import { GUEST_INITRD, GUEST_KERNEL, hasInitrd } from "./root.ts";
import { SHARE_TAG } from "./shared_files.ts";
import type { Step } from "./types.ts";
import { type Boot, memoryInput, vcpusOf } from "./guest_size.ts";
import { guestInput, type LaunchInput } from "./launch_input.ts";

/** Where QEMU makes the file that is the guest's memory, in its root. */
const MEMORY_DIRECTORY = "/memory";

/** The file, and the directory that it is in. */
const MEMORY_FILES = 2;

/** A file system for it, the monitor's, with nothing to execute and no larger than the memory and the directory. */
export function memoryFile({ memoryMiB }: MonitorInput, { uid, gid }: User): Step[] {
  const sizeBytes = (memoryMiB + 1) * 1024 * 1024;
  return [
    { step: "mkdir", path: MEMORY_DIRECTORY, mode: 0o755 },
    {
      ...{ step: "mountTmpfs", path: MEMORY_DIRECTORY, sizeBytes, mode: 0o700, devices: false },
      ...{ uid, gid, files: MEMORY_FILES },
    },
  ];
}

/** Decisions that the monitor's arguments depend on. */
export interface Decided extends Boot {
  controlFd: number | undefined;
  eventsFd: number | undefined;
  ports: AgentPorts | undefined;
  vsock: string | undefined;
  filesFd: number | undefined;
  devices: PlannedDevices;
  disks: PlannedDisks;
  /** Name of the network device in the guest's manifest. */
  networkDevice: string | undefined;
}

/** What the monitor's arguments are made of. */
export function monitorInputOf(input: LaunchInput, decided: Decided): MonitorInput {
  const { facts, monitor, guest } = input;
  const [network, ...furtherNetworks] = monitorNetworks(input, decided);
  const { accelerator, initrdProcess, controlFd, eventsFd, ports, vsock, devices, disks } = decided;
  return {
    binary: facts.monitor.binary,
    kernel: GUEST_KERNEL,
    initrd: hasInitrd(facts) || initrdProcess !== undefined ? GUEST_INITRD : undefined,
    commandLine: checkSolo5CommandLine(guest.commandLine(guestInput(input)), facts.kernelFormat),
    memoryMiB: guestMemoryMiB(memoryInput(input, decided)),
    vcpus: vcpusOf(input),
    accelerator,
    kvmFd: devices.kvmFd,
    processorVendor: facts.kvm.processorVendor,
    firmwareDirectories: monitor.firmwareDirectories.filter((directory) =>
      facts.monitor.dataPaths.some(({ path }) => path === directory)
    ),
    firmware: facts.monitor.firmware,
    network,
    furtherNetworks,
    disks: disks.disks,
    controlFd,
    eventsFd,
    ports,
    vsock,
    files: decided.filesFd === undefined
      ? undefined
      : { fd: decided.filesFd, tag: SHARE_TAG, memory: MEMORY_DIRECTORY },
  };
}

/** In the order of the container's interfaces, which the guest's kernel gives its own by. */
function monitorNetworks(
  { network, guest }: LaunchInput,
  { devices, networkDevice }: Decided,
): MonitorNetwork[] {
  return takenInterfaces(network)
    .map((taken, position) => ({
      ...taken,
      tapFd: devices.tapFds[position],
      vhostFd: devices.vhostFds[position],
    }))
    .sort((one, other) => one.facts.index - other.facts.index)
    .map(({ facts: { mac, mtu }, tap, tapFd, vhostFd }) => ({
      tap,
      tapFd,
      vhostFd,
      mac,
      mtu,
      hideMtu: guest.misreadsMtu,
      device: networkDevice,
      modern: guest.modernVirtio,
    }));
}
