/** A file, directory or symbolic link, as its mode says, of an archive. */
export interface ArchiveEntry {
  /** Without a leading slash. */
  name: string;
  /** With the file's type, inode(7). */
  mode: number;
  /** Its owner; root by default. */
  uid?: number;
  gid?: number;
  /** Of a link, where it leads. */
  content?: Uint8Array;
}

/** An archive's successor begins at a multiple of 4 bytes; cpio(1) writes whole sectors. */
const BLOCK = 512;

/**
 * An archive in cpio's "new" format; every file is dated 1970.
 *
 * @see Documentation/driver-api/early-userspace/buffer-format.rst in Linux
 * @returns bytes, a multiple of 512
 */
export function archive(entries: ArchiveEntry[]): Uint8Array<ArrayBuffer> {
  const parts = [...entries, { name: "TRAILER!!!", mode: 0 }].flatMap(entryParts);
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  const bytes = new Uint8Array(Math.ceil(size / BLOCK) * BLOCK);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function entryParts(
  { name, mode, uid = 0, gid = 0, content }: ArchiveEntry,
  index: number,
): Uint8Array[] {
  const encodedName = new TextEncoder().encode(`${name}\0`);
  const body = content ?? new Uint8Array(0);
  const fields = [
    index + 1, // inode
    mode,
    uid,
    gid,
    1, // links
    0, // modification time
    body.length,
    ...[0, 0], // device that it is on
    ...[0, 0], // device that it is
    encodedName.length,
    0, // checksum, of another format
  ];
  const header = "070701" + fields.map((it) => it.toString(16).padStart(8, "0")).join("");
  const head = new TextEncoder().encode(header);
  return [
    head,
    encodedName,
    padding(head.length + encodedName.length),
    body,
    padding(body.length),
  ];
}

/** Names and contents end at multiples of 4. */
function padding(length: number): Uint8Array {
  return new Uint8Array(-length & 3);
}
