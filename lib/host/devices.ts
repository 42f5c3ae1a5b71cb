import { getxattr, LinuxError, S_IFBLK, S_IFCHR, S_IFMT, statPath } from "../../ffi/linux.ts";
import { HostError } from "../errors.ts";
import { parseAcl } from "./acl.ts";
import type { DeviceFacts } from "./types.ts";

/**
 * Reads the facts of a device node of the host, with its access control list.
 *
 * @param path absolute host path
 * @returns undefined when that path does not exist
 * @throws HostError when it is not a device node
 */
export function readDevice(path: string): DeviceFacts | undefined {
  let stat: ReturnType<typeof statPath>;
  try {
    stat = statPath(path);
  } catch (error) {
    if (error instanceof LinuxError && ["ENOENT", "ENOTDIR"].includes(error.code)) return undefined;
    throw error;
  }
  const type = stat.mode & S_IFMT;
  if (type !== S_IFCHR && type !== S_IFBLK) {
    throw new HostError({
      operation: "look at device",
      subject: path,
      reason: "it is not a device node",
    });
  }
  const acl = getxattr(path, "system.posix_acl_access");
  return {
    path,
    type: type === S_IFCHR ? "char" : "block",
    major: stat.rdev.major,
    minor: stat.rdev.minor,
    uid: stat.uid,
    gid: stat.gid,
    mode: stat.mode & 0o7777,
    ...(acl === undefined ? {} : { acl: parseAcl(acl, path) }),
  };
}
