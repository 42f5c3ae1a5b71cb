import { close } from "../../ffi/linux.ts";
import type { MonitorConfiguration } from "../config/types.ts";
import type { Monitor } from "../monitor/types.ts";
import { InvalidConfigurationError } from "../errors.ts";
import { arch } from "../arch/arch.ts";
import { ARCHITECTURE_BYTES, foreignArchitecture } from "../arch/machines.ts";
import { apparmorEnabled } from "../host/apparmor.ts";
import { ownSeccompFilters } from "../host/identity.ts";
import { findFirmware, findMonitor, readMonitorVersion } from "../host/binaries.ts";
import { findLibraries } from "../host/libraries.ts";
import { readCgroupLayout } from "../cgroups/layout.ts";
import { readDevice } from "../host/devices.ts";
import { readGroupName } from "../host/groups.ts";
import { FORMAT_BYTES, isInitramfs } from "../guest/initrd/format.ts";
import type { KernelFormat } from "../guest/kernel/types.ts";
import { readKernelFormat } from "../guest/kernel/format.ts";
import { KERNEL_FILES, type StoredKernel } from "../kernels/store.ts";
import { openImageRoot, readImageHead, readImageParts, statImageFile } from "./image.ts";
import { probeKvm } from "../host/kvm.ts";
import { processorVendor } from "../host/processor.ts";
import type { DeviceFacts, KvmFacts, MonitorFacts } from "../host/types.ts";
import type { HostFacts, ImageFileFacts } from "./types.ts";

/** Of files that are shared with a guest, as a kernel's record has it. */
const FILES_DRIVER = "virtiofs";

/** Which facts to gather. */
export interface FactsInput {
  monitor: Monitor;
  /** The operator's configuration of this monitor. */
  configuration?: MonitorConfiguration;
  /** Whether the guest starts only in a whole BIOS. */
  needsBios?: boolean;
  /** From `openImageRoot`. */
  imageRoot: number;
  /** Paths as the image names them; `kernel` is one of the node's for an image without. */
  kernel: string | StoredKernel;
  initrd?: string;
  /** `tcg` leaves KVM alone: making a virtual machine to probe it takes time. */
  accelerator?: "kvm" | "tcg";
  /** Looks up the names of the devices' groups, which only errors about groups need. */
  groupNames?: boolean;
}

/**
 * Gathers all that planning may know of this machine and the image. Changes nothing.
 *
 * @throws HostError when the monitor is not installed; InvalidConfigurationError when a file of the
 *   image is missing or not a regular file, or the monitor's configuration does not fit this host
 */
export function gatherHostFacts(input: FactsInput): HostFacts {
  const { imageRoot, kernel, initrd } = input;
  const kernelFound = typeof kernel === "string"
    ? kernelFacts(imageRoot, kernel)
    : nodeKernelFacts(kernel, input.monitor);
  const monitor = monitorFacts(input, kernelFound.kernelFormat);
  const facts: HostFacts = {
    ...kernelFound,
    ...(initrd === undefined ? {} : { initrd: initrdFacts(imageRoot, initrd) }),
    monitor,
    kvm: kvmFacts(input),
    tun: readDevice("/dev/net/tun"),
    ...(input.configuration?.vhost && { vhostNet: readDevice("/dev/vhost-net") }),
    cgroups: readCgroupLayout(),
    apparmor: apparmorEnabled(),
    seccompFilters: ownSeccompFilters(),
    libraries: findLibraries(monitor.binary, input.monitor.modulePaths),
  };
  return input.groupNames
    ? { ...facts, groupNames: groupNamesOf([facts.kvm.device, facts.tun]) }
    : facts;
}

function monitorFacts(
  { monitor, configuration, needsBios = false }: FactsInput,
  kernel: KernelFormat,
): MonitorFacts {
  const found = findMonitor(monitor, configuration);
  // Whether it starts a compressed kernel is all that a version is asked for.
  const version = kernel.kind === "linuxImage" && monitor.versionArguments !== undefined
    ? readMonitorVersion(found.binary, monitor.versionArguments)
    : undefined;
  const facts = version === undefined ? found : { ...found, version };
  const firmware = findFirmware(monitor, configuration, needsBios);
  if (firmware === undefined) return facts;
  // It may be in none of the directories that are bound.
  const dataPaths = [...facts.dataPaths, { path: firmware, kind: "file" as const }];
  return { ...facts, dataPaths, firmware };
}

function kvmFacts({ monitor, accelerator }: FactsInput): KvmFacts {
  const unseen = (why: string) => ({ usable: false, reason: `${why}, so KVM was not probed` });
  if (!monitor.accelerators.includes("kvm")) return unseen("the monitor does without");
  return accelerator === "tcg"
    ? unseen("emulation was asked for")
    : { ...probeKvm(), processorVendor: processorVendor() };
}

/** @throws InvalidConfigurationError for another processor's: monitors say little of that */
function kernelFacts(
  imageRoot: number,
  path: string,
): Pick<HostFacts, "kernel" | "kernelFormat"> {
  const { architecture, kernelFormat } = readImageParts(imageRoot, path, (read) => ({
    architecture: foreignArchitecture(read(0, ARCHITECTURE_BYTES)),
    kernelFormat: readKernelFormat(read),
  }));
  if (architecture === undefined) return { kernel: statImageFile(imageRoot, path), kernelFormat };
  throw new InvalidConfigurationError({
    operation: "read the guest's kernel",
    subject: path,
    reason: `it is for another processor, ${architecture}, and this machine is ${arch.name}`,
    remedy: `build or pull the image for linux/${arch.imageName}`,
  });
}

/** A monitor that does not start Linux's own form gets the ELF file. */
function nodeKernelFacts(
  { name, path, record }: StoredKernel,
  monitor: Monitor,
): Pick<HostFacts, "kernel" | "kernelFormat" | "nodeKernel"> {
  const root = openImageRoot(path);
  try {
    const at = (file: ImageFileFacts) => ({ ...file, path: `${path}/${file.path}` });
    const image = kernelFacts(root, KERNEL_FILES.image);
    const format = image.kernelFormat;
    const takesImage = format.kind === "other" || monitor.refuseKernel(format) === undefined;
    const isElf = !takesImage && record.elf !== undefined;
    const { kernel, kernelFormat } = isElf ? kernelFacts(root, KERNEL_FILES.elf) : image;
    const { sha256 } = isElf ? record.elf! : record.image;
    const modules = record.modules && at(statImageFile(root, KERNEL_FILES.modules));
    const lacks = record.missing.includes(FILES_DRIVER) ? { lacksFiles: true as const } : {};
    return { kernel: at(kernel), kernelFormat, nodeKernel: { name, sha256, modules, ...lacks } };
  } finally {
    close(root);
  }
}

function initrdFacts(imageRoot: number, path: string): HostFacts["initrd"] {
  const head = readImageHead(imageRoot, path, FORMAT_BYTES);
  return { ...statImageFile(imageRoot, path), isInitramfs: isInitramfs(head) };
}

/**
 * The names of all groups that own device nodes or are in their access control lists.
 *
 * @param devices undefined: one that this host does not have
 */
export function groupNamesOf(devices: (DeviceFacts | undefined)[]): Record<number, string> {
  const names: Record<number, string> = {};
  for (const device of devices) {
    if (device === undefined) continue;
    const gids = (device.acl ?? []).flatMap(({ tag, id }) => tag === "group" ? [id!] : []);
    for (const gid of [device.gid, ...gids]) {
      const name = readGroupName(gid);
      if (name !== undefined) names[gid] = name;
    }
  }
  return names;
}
