import { close, fstat, S_IFDIR, S_IFMT, S_IFREG, S_IFSOCK } from "../../ffi/linux.ts";
import { errorMessage, HostError, UnsupportedError } from "../errors.ts";
import { openNamed } from "../host/named.ts";
import type { VolumeMount } from "../oci/unsupported.ts";
import type { SharedMountFacts } from "./types.ts";

const OPERATION = "share files with the guest";

/**
 * Looks at volumes that a guest is to see. What the file server may do there its user decides, when the
 * guest does it; here is found out only what they are.
 *
 * @throws HostError naming the volume whose source cannot be opened
 * @throws UnsupportedError naming one that is neither a file nor a directory
 */
export function sharedMountFacts(volumes: readonly VolumeMount[]): SharedMountFacts[] {
  return volumes.map((volume) => ({ index: volume.index, isFile: isFile(volume) }));
}

function isFile(volume: VolumeMount): boolean {
  const type = typeOf(volume);
  if (type === S_IFREG || type === S_IFDIR) return type === S_IFREG;
  throw new UnsupportedError({
    operation: OPERATION,
    subject: subjectOf(volume),
    reason: type === S_IFSOCK
      ? "it is a socket, whose other end is not in the guest"
      : "it is neither a file nor a directory",
    remedy: "leave it out; what the host serves can be reached by the network",
  });
}

function typeOf(volume: VolumeMount): number {
  let found: number;
  try {
    found = openNamed(volume.mount.source);
  } catch (cause) {
    const reason = errorMessage(cause);
    throw new HostError({ operation: OPERATION, subject: subjectOf(volume), reason, cause });
  }
  try {
    return fstat(found).mode & S_IFMT;
  } finally {
    close(found);
  }
}

function subjectOf({ mount, index }: VolumeMount): string {
  return `mounts[${index}] ${mount.source}`;
}
