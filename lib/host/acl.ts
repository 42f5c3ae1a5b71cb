import { HostError } from "../errors.ts";
import type { AclEntry } from "./types.ts";

/** POSIX_ACL_XATTR_VERSION, linux/posix_acl_xattr.h */
const VERSION = 2;

/** ACL_USER_OBJ and its like, linux/posix_acl.h */
const TAGS: ReadonlyMap<number, AclEntry["tag"]> = new Map([
  [0x01, "user_obj"],
  [0x02, "user"],
  [0x04, "group_obj"],
  [0x08, "group"],
  [0x10, "mask"],
  [0x20, "other"],
]);

/** sizeof(struct posix_acl_xattr_header): le32 a_version */
const HEADER_BYTES = 4;
/** sizeof(struct posix_acl_xattr_entry): le16 e_tag, le16 e_perm, le32 e_id */
const ENTRY_BYTES = 8;

/**
 * Parses the value of the extended attribute `system.posix_acl_access`.
 *
 * @param bytes the attribute's value (struct posix_acl_xattr_header and entries, little endian)
 * @param subject what carries the attribute, for the error
 * @returns the entries in the kernel's order
 * @throws HostError when the bytes are not an access control list of version 2
 * @see linux/posix_acl_xattr.h, acl(5)
 */
export function parseAcl(bytes: Uint8Array, subject = "system.posix_acl_access"): AclEntry[] {
  const fail = (reason: string) =>
    new HostError({ operation: "read the access control list of", subject, reason });
  if (bytes.length < HEADER_BYTES || (bytes.length - HEADER_BYTES) % ENTRY_BYTES !== 0) {
    throw fail(`${bytes.length} bytes are not a header and whole entries`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = view.getUint32(0, true);
  if (version !== VERSION) throw fail(`version ${version} is not ${VERSION}`);
  const entries: AclEntry[] = [];
  for (let offset = HEADER_BYTES; offset < bytes.length; offset += ENTRY_BYTES) {
    const number = view.getUint16(offset, true);
    const tag = TAGS.get(number);
    if (tag === undefined) throw fail(`unknown tag 0x${number.toString(16)}`);
    const permissions = view.getUint16(offset + 2, true) & 7;
    entries.push(
      tag === "user" || tag === "group"
        ? { tag, id: view.getUint32(offset + 4, true), permissions }
        : { tag, permissions },
    );
  }
  return entries;
}
