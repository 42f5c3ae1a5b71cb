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
import { SOLO5_COMMAND_LINE_BYTES } from "../guest/kernel/solo5.ts";
import { KVM_THREADS } from "./threads.ts";
import type { ElfKernel, LinuxImage } from "../guest/kernel/types.ts";
import type { KernelRefusal, Monitor, MonitorDevice, MonitorDisk, MonitorInput } from "./types.ts";

const MIB = 1024 * 1024;

/** MFT_NAME_MAX (include/mft_abi.h), and the characters that `--net:` takes. */
const DEVICE_NAME = /^[A-Za-z0-9]{1,67}$/;

/** The differences between the two tenders. */
interface Tender {
  name: "hvt" | "spt";
  title: string;
  minimumMemoryMiB: number;
  maximumMemoryMiB?: number;
  memoryStepMiB?: number;
  accelerators: Monitor["accelerators"];
  /** Kernel memory charged for the process whatever the guest's size, in bytes. */
  kernelBytes: number;
  /** Page tables per byte of guest memory, when every page is touched. */
  pageTableShare: number;
  /** What a network device costs, in bytes. */
  networkBytes: number;
}

/**
 * Heap, stack, data of the libraries. Measured 0.14 MiB (hvt) and 0.17 MiB (spt) with Solo5 0.12.1,
 * anonymous pages of smaps.
 */
const PROCESS_BYTES = MIB;

/** For the pages of the tender and its libraries; measured 1.9 MiB, all that it ever maps. */
const PAGE_CACHE_BYTES = 4 * MIB;

/**
 * Solo5's tender for KVM: one process, no firmware, a handful of hypercalls. It filters its own
 * system calls if it was built with libseccomp.
 */
export const hvt: Monitor = tender({
  name: "hvt",
  title: "Solo5 hvt",
  ...arch.solo5,
  accelerators: ["kvm"],
  // Measured 1.3 MiB with a network.
  kernelBytes: 2.5 * MIB,
  // As for QEMU with KVM (qemu_memory.ts): the process's tables, the guest's second level, KVM's own.
  pageTableShare: 1 / 128,
  // A ring shared with the guest, rounded up to a page of 2 MiB and added to the guest's memory.
  networkBytes: 2 * MIB,
});

/**
 * Solo5's tender without any virtualisation: the guest's code runs in the tender's own process, in
 * a seccomp filter that leaves it a few system calls on descriptors it has. No /dev/kvm.
 */
export const spt: Monitor = tender({
  name: "spt",
  title: "Solo5 spt",
  // Guest memory begins at 1 MiB, SPT_GUEST_MIN_BASE.
  minimumMemoryMiB: 2,
  accelerators: [],
  // Measured 0.1 MiB.
  kernelBytes: MIB,
  // 8 bytes for each page of 4 KiB are a half of it.
  pageTableShare: 1 / 256,
  networkBytes: 0,
});

function tender(tender: Tender): Monitor {
  const { name, title, minimumMemoryMiB, maximumMemoryMiB, memoryStepMiB, accelerators } = tender;
  return {
    name,
    title,
    guests: ["elf", "mirage", "rumprun"],
    kernels: `Solo5 guests for ${name}`,
    refuseKernel: (kernel) => refuseKernel(kernel, name),
    attachesManifest: true,
    // `NAME tender, version v0.12.1`, with the name that it is called by.
    calledInVersion: "tender, version",
    binaryNames: [`solo5-${name}`],
    dataPaths: [],
    firmwareDirectories: [],
    maximumVcpus: 1,
    minimumMemoryMiB,
    maximumMemoryMiB,
    memoryStepMiB,
    accelerators,
    takesInitrd: false,
    // Far fewer than its manifest may have (MFT_MAX_ENTRIES, include/mft_abi.h).
    mostDisks: 8,
    // It opens them for writing, whatever the guest does (tenders/common/block_attach.c).
    readOnlyDisks: false,
    takesDescriptors: false,
    memoryOverheadBytes({ memoryMiB, networks }) {
      return Math.ceil(
        PROCESS_BYTES + tender.kernelBytes + memoryMiB * MIB * tender.pageTableShare +
          networks * tender.networkBytes + PAGE_CACHE_BYTES,
      );
    },
    // It is the guest's processor itself.
    threads: () => 1 + (accelerators.includes("kvm") ? KVM_THREADS : 0),
    devices({ network }) {
      const nodes: MonitorDevice[] = accelerators.includes("kvm") ? ["kvm"] : [];
      return network ? [...nodes, "net/tun"] : nodes;
    },
    // Its exit code: solo5_exit()'s; 255 is an abort, 1 also the tender's own failure.
    readsInput: false,
    // spt has no handlers, hvt since 0.10 one that only exits with 1; neither can ask its guest.
    endSignal: SIGKILL,
    argv: (input) => argv(tender, input),
  };
}

/** A tender itself only reports missing ABI information, or that it is for another tender. */
function refuseKernel(
  kernel: ElfKernel | LinuxImage,
  name: Tender["name"],
): KernelRefusal | undefined {
  const target = kernel.kind === "elf" ? kernel.solo5?.target : undefined;
  if (target === name) return undefined;
  return target === undefined
    ? {
      reason: "it is not a Solo5 guest: it has no note .note.solo5.abi",
      remedy: `link it with Solo5's bindings for ${name}`,
    }
    : {
      reason: `it is a Solo5 guest for ${target}`,
      remedy: `use ${target === "virtio" ? "qemu" : target}, or link it for ${name}`,
    };
}

/**
 * The guest's command line is one argument, whatever it contains: the tender joins the arguments after
 * the kernel with spaces, and leaves a single one as it is. `--mem` counts MiB, although it says MB.
 */
function argv(tender: Tender, input: MonitorInput): string[] {
  const monitor = tender.name;
  const { memoryMiB, initrd, commandLine } = input;
  refuseDescriptors(monitor, input);
  checkCount({ monitor, what: "guest memory in MiB" }, memoryMiB, tender.minimumMemoryMiB);
  if (initrd !== undefined) {
    throw refusedValue({ monitor, what: "initrd" }, initrd, "Solo5's guests have none");
  }
  return [
    checkPath({ monitor, what: "monitor binary" }, input.binary),
    `--mem=${memoryMiB}`,
    ...network(monitor, input),
    ...(input.disks ?? []).map((disk) => block(monitor, disk)),
    // An absolute path, which cannot begin with `-` like an option.
    checkPath({ monitor, what: "kernel" }, input.kernel),
    ...(commandLine === undefined ? [] : [checkCommandLine(monitor, commandLine)]),
  ];
}

/** The MTU is the tap's. Without it the MAC would be random, and a bridge might drop its packets. */
function network(monitor: string, { network }: MonitorInput): string[] {
  if (network === undefined) return [];
  const { tap, mac, device = "" } = network;
  if (!DEVICE_NAME.test(device)) {
    throw refusedValue({ monitor, what: "network device" }, device, "1 to 67 of A-Z a-z 0-9");
  }
  const address = checkMac({ monitor, what: "MAC address" }, mac);
  return [
    `--net:${device}=${checkTap({ monitor, what: "tap name" }, tap)}`,
    `--net-mac:${device}=${address}`,
  ];
}

/** A disk costs it a descriptor and no buffers: it reads and writes in the guest's memory. */
function block(
  monitor: string,
  { path, readOnly, serial = "", solo5Device = "" }: MonitorDisk,
): string {
  const disk = { monitor, what: "disk" };
  if (path === undefined) throw refusedValue(disk, serial, "Solo5 opens disks by their paths");
  if (readOnly) throw refusedValue(disk, path, "Solo5 opens every disk for writing");
  if (!DEVICE_NAME.test(solo5Device)) {
    throw refusedValue({ monitor, what: "block device" }, solo5Device, "1 to 67 of A-Z a-z 0-9");
  }
  return `--block:${solo5Device}=${checkPath(disk, path)}`;
}

function checkCommandLine(monitor: string, text: string): string {
  const checked = { monitor, what: "guest command line" };
  if (text.includes("\0")) throw refusedValue(checked, text, "it contains a NUL character");
  const length = new TextEncoder().encode(text).length;
  if (length < SOLO5_COMMAND_LINE_BYTES) return text;
  const most = SOLO5_COMMAND_LINE_BYTES - 1;
  throw refusedValue(checked, text, `it is ${length} bytes long, and Solo5 takes at most ${most}`);
}
