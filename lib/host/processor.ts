import { close, O_RDONLY, open, read } from "../../ffi/linux.ts";

/** How much of /proc/cpuinfo is read. The kernel generates it while it is read; the first processor suffices. */
const HEAD_BYTES = 1024;

/**
 * The maker of this host's processor, as the kernel names it.
 *
 * @returns undefined when the kernel does not name it
 * @see proc_cpuinfo(5)
 */
export function processorVendor(path = "/proc/cpuinfo"): string | undefined {
  const head = new Uint8Array(HEAD_BYTES);
  const fd = open(path, O_RDONLY);
  try {
    const text = new TextDecoder().decode(head.subarray(0, read(fd, head)));
    return /^vendor_id\s*: (\S+)$/m.exec(text)?.[1];
  } finally {
    close(fd);
  }
}
