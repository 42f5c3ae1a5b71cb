import {
  close,
  fstat,
  LinuxError,
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
  openat2,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
} from "../../ffi/linux.ts";
import { errorMessage, HostError, UnsupportedError } from "../errors.ts";
import { type Credentials, type Guarded, mayAccess, READ, SEARCH } from "../host/access.ts";
import { guardOf, openNamed } from "../host/named.ts";
import type { VolumeMount } from "../oci/unsupported.ts";
import type { SharedMountFacts } from "./types.ts";

const OPERATION = "share files with the guest";

/**
 * Looks at volumes that a guest is to see. What the file server may do there its user decides, when the
 * guest does it; here is found out what they are.
 *
 * @param server the file server's user, if what it may not read is to be found
 * @throws HostError naming the volume whose source cannot be opened
 * @throws UnsupportedError naming one that is neither a file nor a directory
 */
export function sharedMountFacts(
  volumes: readonly VolumeMount[],
  server?: Credentials,
): SharedMountFacts[] {
  return volumes.map((volume) => {
    const found = openVolume(volume);
    try {
      const isFile = isRegular(volume, fstat(found).mode & S_IFMT);
      const closed = server && closedTo(server, volume.mount.source, found, isFile);
      return { index: volume.index, isFile, ...(closed !== undefined && { closed }) };
    } finally {
      close(found);
    }
  });
}

function openVolume(volume: VolumeMount): number {
  try {
    return openNamed(volume.mount.source);
  } catch (cause) {
    const reason = errorMessage(cause);
    throw new HostError({ operation: OPERATION, subject: subjectOf(volume), reason, cause });
  }
}

function isRegular(volume: VolumeMount, type: number): boolean {
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

/** The path of a volume that a user may not read, or of the first file in one that the kubelet writes. */
function closedTo(
  user: Credentials,
  path: string,
  found: number,
  isFile: boolean,
): string | undefined {
  if (!mayAccess(guardOf(found), user, isFile ? READ : READ | SEARCH)) return path;
  const files = isFile ? [] : writtenFiles(found);
  const closed = files.find(({ guard }) => !mayAccess(guard, user, READ));
  return closed && `${path}/${closed.name}`;
}

/**
 * A link to the directory with all files of a configMap, a secret and the like: kubernetes,
 * pkg/volume/util/atomic_writer.go.
 */
const WRITTEN = "..data";

/** Its files, and who may open them. Nothing outside of the volume is looked at, whatever is a link there. */
function writtenFiles(volume: number): { name: string; guard: Guarded }[] {
  const directory = lookUp(volume, WRITTEN, O_DIRECTORY);
  if (directory === undefined) return [];
  try {
    return [...Deno.readDirSync(`/proc/self/fd/${directory}`)].flatMap(({ name }) => {
      const file = lookUp(directory, name, 0);
      if (file === undefined) return [];
      try {
        return [{ name, guard: guardOf(file) }];
      } finally {
        close(file);
      }
    });
  } finally {
    close(directory);
  }
}

/** @returns an O_PATH descriptor; undefined: there is none, or the kubelet is replacing it */
function lookUp(directory: number, name: string, flags: number): number | undefined {
  const resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  try {
    return openat2(directory, name, { flags: O_PATH | O_CLOEXEC | flags, resolve });
  } catch (error) {
    if (error instanceof LinuxError) return undefined;
    throw error;
  }
}

function subjectOf({ mount, index }: VolumeMount): string {
  return `mounts[${index}] ${mount.source}`;
}
