import { InvalidConfigurationError } from "../errors.ts";
import type { DiskFacts } from "../inspect/types.ts";
import type { Process, Rlimit } from "../oci/types.ts";

const MIB = 1024 * 1024;

/** What a monitor may have to write to. */
export interface FileSizeInput {
  process: Pick<Process, "rlimits">;
  /** A monitor may have it as a file in memory (memfd_create(2)), which counts. */
  guestMemoryMiB: number;
  /** The guest's memory is a file that the monitor makes, for a file server: without it there is no guest. */
  hasMemoryFile?: boolean;
  disks: readonly Pick<DiskFacts, "source">[];
}

/**
 * The monitor's RLIMIT_FSIZE: the largest file that it needs, unless config.json sets it. A monitor that
 * was taken over could else fill the host's disk through the image of its guest's, which it may extend.
 *
 * Block devices are not concerned: the kernel limits regular files only (generic_write_check_limits() in
 * fs/read_write.c). No monitor has a reason to write beyond the limit, for guests see the size that a disk
 * had at the start. What tries ends by SIGXFSZ (setrlimit(2)); QEMU's threads that write block it, and the
 * guest gets an I/O error.
 *
 * @throws InvalidConfigurationError when config.json's leaves no room for a file that there must be
 */
export function fileSizeLimit(input: FileSizeInput): Pick<Rlimit, "soft" | "hard"> {
  const asked = input.process.rlimits.find(({ type }) => type === "RLIMIT_FSIZE");
  if (asked !== undefined) {
    if (input.hasMemoryFile) requireMemoryFile(asked.soft, input.guestMemoryMiB);
    return { soft: asked.soft, hard: asked.hard };
  }
  const files = input.disks.map(({ source }) => source.kind === "device" ? 0 : source.file.size);
  const largest = Math.max(input.guestMemoryMiB * MIB, ...files);
  // Whole MiB: a monitor rounds an image of odd size up to sectors, and may write the last one.
  const limit = BigInt(Math.ceil(largest / MIB) * MIB);
  return { soft: limit, hard: limit };
}

function requireMemoryFile(soft: bigint, guestMemoryMiB: number): void {
  const needed = guestMemoryMiB * MIB;
  if (soft >= needed) return;
  throw new InvalidConfigurationError({
    operation: "plan limits",
    subject: "process.rlimits RLIMIT_FSIZE",
    reason:
      `the guest sees files of the host, so its memory is a file of ${needed} bytes, and one may ` +
      `have ${soft}`,
    remedy: `allow at least ${needed} (docker, podman: --ulimit fsize=${needed}), or set no limit`,
  });
}
