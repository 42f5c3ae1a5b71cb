import { HostError } from "../errors.ts";
import { keyPrefix } from "../guest/keys.ts";
import type { Monitor } from "../monitor/types.ts";
import type { MemoryLimit } from "../oci/memory_limits.ts";
import { WAITER_BYTES } from "./waiter.ts";

const MIB = 1024 * 1024;

/**
 * A file server, and its process and namespaces in the kernel. Bytes. Measured with virtiofsd 1.13: 4.7 MiB,
 * of which 0.4 are its own and the rest its program and libraries.
 */
const FILE_SERVER_BYTES = 12 * MIB;

/**
 * For the files that the guest knows: the file server has each of them open, so that the host's kernel cannot
 * forget it. Measured on ext4: 1.6 KiB for one, with its inode and name. The guest's agent has its kernel forget files when it
 * knows more than one for each 32 KiB of its memory (lib/build/guest_init/share.c).
 */
const FILE_SERVER_FILES_SHARE = 1 / 16;

/** It maps the guest's memory: 8 bytes for each page of 4 KiB. */
const FILE_SERVER_PAGE_TABLE_SHARE = 1 / 512;

/** Input for planning memory. Sizes in bytes unless the name says otherwise. */
export interface MemoryInput {
  monitor: Monitor;
  /** The container's lowest. */
  limit: MemoryLimit | undefined;
  defaultMemoryMiB: number;
  vcpus: number;
  /** How many interfaces. */
  networks: number;
  /** How many; none when undefined. */
  disks?: number;
  accelerator: "kvm" | "tcg";
  /** The guest sees files of the host. */
  sharesFiles?: boolean;
  /** The monitor's soft limit of open files. */
  openFiles: number;
  /** The guest has an agent. */
  agent?: boolean;
  /** Size of the guest kernel's file. */
  kernelBytes: number;
  /** Guest memory that kernel, runtime and initial RAM disk need before the guest runs. */
  bootBytes: number;
  /** Of that, what the ports of its agent take. */
  agentBytes: number;
  /** Kernel and initrd copied into the private root, which the limit is charged for. */
  copiedBytes: number;
}

/**
 * How much memory the guest gets, in MiB.
 *
 * The container's limit covers the monitor too: a guest with the whole limit as its RAM would be killed
 * by the OOM killer once it used it. The guest gets the limit minus the monitor's measured overhead and
 * the copied files.
 *
 * Throws HostError when the limit leaves too little for the monitor or for the guest's kernel, naming how
 * much is needed, or when boot files that must be copied do not fit into a guest without a limit.
 */
export function guestMemoryMiB(input: MemoryInput): number {
  const { limit, defaultMemoryMiB } = input;
  if (limit !== undefined) return memoryWithin(limit, input);
  if (defaultMemoryMiB < bootMiB(input)) throw tooSmallByDefault(input);
  // Without a limit nothing restricts the copies, and an image may contain a file of any size.
  if (input.copiedBytes <= defaultMemoryMiB * MIB) return usableMiB(defaultMemoryMiB, input);
  throw new HostError({
    operation: "plan guest memory",
    subject: input.monitor.name,
    reason: `kernel and initrd have ${input.copiedBytes} bytes, and the guest gets ` +
      `${defaultMemoryMiB} MiB of memory`,
    remedy:
      "set a memory limit, or default_memory_mib in the configuration, that has room for them",
  });
}

/**
 * What guest, monitor and copied files use when the guest uses all its RAM, in bytes: the minimum that a
 * container's limit can be changed to later.
 *
 * @throws HostError as `guestMemoryMiB`
 */
export function neededMemoryBytes(input: MemoryInput): number {
  const memoryMiB = guestMemoryMiB(input);
  return memoryMiB * MIB + Math.ceil(overheadBytes(memoryMiB, input));
}

function overheadBytes(memoryMiB: number, input: MemoryInput): number {
  const {
    monitor,
    vcpus,
    networks,
    disks,
    accelerator,
    kernelBytes,
    openFiles,
    agent,
    copiedBytes,
  } = input;
  const monitorBytes = monitor.memoryOverheadBytes({
    memoryMiB,
    vcpus,
    networks,
    disks,
    accelerator,
    kernelBytes,
    openFiles,
    agent,
  });
  const serverBytes = input.sharesFiles
    ? FILE_SERVER_BYTES +
      memoryMiB * MIB * (FILE_SERVER_PAGE_TABLE_SHARE + FILE_SERVER_FILES_SHARE)
    : 0;
  return monitorBytes + serverBytes + WAITER_BYTES + copiedBytes;
}

/** How much of that the monitor can use: at most its maximum, in whole steps. */
function usableMiB(memoryMiB: number, { monitor }: MemoryInput): number {
  const { maximumMemoryMiB = Infinity, memoryStepMiB = 1, minimumMemoryMiB } = monitor;
  const most = Math.min(memoryMiB, maximumMemoryMiB);
  return Math.max(minimumMemoryMiB, most - most % memoryStepMiB);
}

function memoryWithin({ property, bytes: limit }: MemoryLimit, input: MemoryInput): number {
  const { monitor } = input;
  const overhead = (memoryMiB: number) => overheadBytes(memoryMiB, input);
  const upperBound = Math.floor(limit / MIB);
  // The overhead may grow with the guest (page tables), so it is computed for the largest guest, which
  // can only be too much.
  const memoryMiB = Math.floor((limit - overhead(upperBound)) / MIB);
  const minimum = Math.max(monitor.minimumMemoryMiB, bootMiB(input));
  if (memoryMiB >= minimum) return usableMiB(memoryMiB, input);

  const needed = neededLimitMiB(minimum, input);
  throw new HostError({
    operation: "plan guest memory",
    subject: `linux.resources.${property}`,
    reason: `the container's memory limit of ${limit} bytes is too low: ${monitor.name} itself ` +
      `takes up to ${Math.ceil(overhead(needed) / MIB)} MiB and ${guestNeed(minimum, input)}`,
    remedy: `set a memory limit of at least ${needed} MiB${orNoAgent(input)}`,
  });
}

function bootMiB({ bootBytes }: MemoryInput): number {
  return Math.ceil(bootBytes / MIB);
}

function guestNeed(minimum: number, input: MemoryInput): string {
  if (minimum !== bootMiB(input)) return `the guest at least ${minimum} MiB`;
  const { agentBytes } = input;
  const ports = agentBytes > 0
    ? `, ${Math.ceil(agentBytes / MIB)} of them for its agent's ports`
    : "";
  return `the guest's kernel needs ${minimum} MiB before it runs, with its runtime and initial RAM disk` +
    ports;
}

function orNoAgent({ agentBytes }: MemoryInput): string {
  return agentBytes > 0 ? `, or ${keyPrefix}agent "none"` : "";
}

/** The lowest limit that leaves a guest this much. */
function neededLimitMiB(guestMiB: number, input: MemoryInput): number {
  let limit = guestMiB;
  // The overhead grows far slower than the limit, so this takes few rounds; and it ends with NaN, too.
  for (;;) {
    const next = guestMiB + Math.ceil(overheadBytes(limit, input) / MIB);
    if (!(next > limit)) return limit;
    limit = next;
  }
}

function tooSmallByDefault(input: MemoryInput): HostError {
  return new HostError({
    operation: "plan guest memory",
    subject: input.monitor.name,
    reason: `${guestNeed(bootMiB(input), input)}, and a guest without a memory limit gets ` +
      `${input.defaultMemoryMiB} MiB`,
    remedy: `set a memory limit, or default_memory_mib in the configuration${orNoAgent(input)}`,
  });
}
