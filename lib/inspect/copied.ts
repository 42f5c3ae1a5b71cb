import {
  close,
  fstat,
  O_CLOEXEC,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  openat2,
  read,
  readLink,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
} from "../../ffi/linux.ts";
import { HostError, UnsupportedError } from "../errors.ts";
import { archive, type ArchiveEntry } from "../guest/initrd/cpio.ts";
import { type CopiedTree, volumeDirectory } from "../guest/initrd/process.ts";
import { openNamed, reopen } from "../host/named.ts";
import { isReadOnlyMount } from "../oci/read_only.ts";
import type { VolumeMount } from "../oci/unsupported.ts";
import { isCode } from "../os/os_error.ts";
import { sharedMountFacts } from "./shared.ts";
import type { CopiedMountFacts } from "./types.ts";

const OPERATION = "copy files into the guest";

/** A configMap or a secret has at most 1 MiB (kubernetes, pkg/apis/core/validation); a projected volume has some. */
const MOST_BYTES = 4 * 1024 * 1024;
const MOST_FILES = 1000;

/** In an initial RAM disk: what another guest mounts there (lib/build/guest_init/share.c). */
const DIRECTORY = "urunc/share";

/**
 * Looks at volumes that a guest gets copies of, since its monitor has no device to share files by.
 *
 * @param title of the monitor, for errors
 * @throws HostError naming the volume whose source cannot be opened, or is too large
 * @throws UnsupportedError naming one that may be written to, or has other things than files
 */
export function copiedMountFacts(
  volumes: readonly VolumeMount[],
  title: string,
): CopiedMountFacts[] {
  for (const { mount, index } of volumes) {
    if (isReadOnlyMount(mount.options)) continue;
    throw new UnsupportedError({
      operation: OPERATION,
      subject: `mounts[${index}] ${mount.source}`,
      reason: `${title} has no device that shares files, and a copy is for what is only read`,
      remedy: "mount it read-only, or use QEMU",
    });
  }
  return sharedMountFacts(volumes).map((facts, position) => {
    const { source } = volumes[position]!.mount;
    const copied = { source, path: volumeDirectory(position), isFile: facts.isFile };
    return { ...facts, bytes: copyOf(copied).length };
  });
}

/**
 * Reads a file or directory of the host, with owners and modes. Nothing outside of it is read, whatever is a
 * link in it, or becomes one meanwhile.
 *
 * @returns an archive for an initial RAM disk
 * @throws HostError, UnsupportedError naming what is too large, or neither file, directory nor link
 */
export function copyOf({ source, path, isFile }: Omit<CopiedTree, "bytes">): Uint8Array {
  const entries: ArchiveEntry[] = [
    { name: DIRECTORY, mode: S_IFDIR | 0o700 },
    { name: `${DIRECTORY}/v`, mode: S_IFDIR | 0o755 },
  ];
  const name = `${DIRECTORY}/${path}`;
  if (isFile) entries.push({ name, mode: S_IFDIR | 0o755 });
  const found = openNamed(source);
  try {
    add(entries, found, isFile ? `${name}/file` : name, source);
  } finally {
    close(found);
  }
  return archive(entries);
}

function add(entries: ArchiveEntry[], fd: number, name: string, source: string): void {
  const { mode, uid, gid, size } = fstat(fd);
  const entry: ArchiveEntry = { name, mode, uid, gid };
  requireSmall(entries, size, source);
  switch (mode & S_IFMT) {
    case S_IFDIR:
      entries.push(entry);
      return addChildren(entries, fd, name, source);
    case S_IFREG:
      entries.push({ ...entry, content: readWhole(fd, size) });
      return;
    case S_IFLNK:
      entries.push({ ...entry, content: new TextEncoder().encode(readLink(fd)) });
      return;
  }
  throw new UnsupportedError({
    operation: OPERATION,
    subject: source,
    reason: `${name.slice(DIRECTORY.length + 1)} in it is neither file, directory nor link`,
    remedy: "use QEMU, whose guests share files with the host",
  });
}

/** The kubelet replaces what a volume has, and removes it. */
function addChildren(entries: ArchiveEntry[], fd: number, name: string, source: string): void {
  const names: string[] = [];
  for (const child of Deno.readDirSync(`/proc/self/fd/${fd}`)) {
    // More than there may be: they are not all looked at.
    if (names.push(child.name) > MOST_FILES) break;
  }
  for (const child of names.sort()) {
    const found = lookUp(fd, child);
    if (found === undefined) continue;
    try {
      add(entries, found, `${name}/${child}`, source);
    } finally {
      close(found);
    }
  }
}

function lookUp(directory: number, name: string): number | undefined {
  const flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  const resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  try {
    return openat2(directory, name, { flags, resolve });
  } catch (error) {
    if (isCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** As much as was said: it may be written to meanwhile. */
function readWhole(fd: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  const file = reopen(fd, O_RDONLY);
  try {
    let length = 0;
    for (let count = -1; count !== 0; length += count) count = read(file, bytes.subarray(length));
    return bytes.subarray(0, length);
  } finally {
    close(file);
  }
}

function requireSmall(entries: ArchiveEntry[], next: number, source: string): void {
  const bytes = entries.reduce((sum, { content }) => sum + (content?.length ?? 0), next);
  if (bytes <= MOST_BYTES && entries.length <= MOST_FILES) return;
  throw new HostError({
    operation: OPERATION,
    subject: source,
    reason: `it has more than ${
      MOST_BYTES >> 20
    } MiB, or more than ${MOST_FILES} files: too much for a copy`,
    remedy: "give the guest a disk image, or use QEMU, whose guests share files with the host",
  });
}
