import { capget, capset, setFileIds } from "../../ffi/linux.ts";

/**
 * Calls a function as root, whose new files are another user's. A mount whose owners are mapped has none for
 * uid 0 of the host, so that it could make nothing there (EOVERFLOW, fsuidgid_has_mapping() in linux/fs.h).
 *
 * @param owner its uid and gid
 * @param action must not return a promise: other code of this thread would be that user, too
 */
export function asFileOwner<T>(owner: { uid: number; gid: number }, action: () => T): T {
  const capabilities = capget();
  const before = setFileIds(owner);
  try {
    // The change took those over files.
    capset(capabilities);
    return action();
  } finally {
    setFileIds(before);
  }
}
