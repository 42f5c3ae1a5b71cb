import { close, O_RDONLY, open, read } from "../../ffi/linux.ts";

/** What of /proc/cpuinfo is read: the kernel makes it as it is read, and the first processor is enough. */
const HEAD_BYTES = 1024;

/**
 * The maker of this host's processor, as the kernel names it.
 *
 * @returns undefined when the kernel does not tell
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
