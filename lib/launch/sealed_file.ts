import {
  addSeals,
  F_SEAL_FUTURE_WRITE,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  memfdCreate,
  MFD_ALLOW_SEALING,
  MFD_CLOEXEC,
  writeAll,
} from "../../ffi/linux.ts";

/**
 * A file in memory whose content cannot be changed any more.
 *
 * @returns its descriptor, which the caller closes
 * @throws LinuxError
 */
export function sealedFile(name: string, content: Uint8Array<ArrayBuffer>): number {
  const fd = memfdCreate(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  writeAll(fd, content);
  // Not F_SEAL_WRITE, which waits until no processor has pages of it in its batches (mm/memfd.c):
  // 7 ms. It is not mapped.
  addSeals(fd, F_SEAL_FUTURE_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
  return fd;
}
