import {
  AF_UNIX,
  close,
  connectUnix,
  LinuxError,
  SOCK_STREAM,
  socket,
} from "../../../ffi/linux.ts";

/**
 * Whether a process listens on a socket: false for one that a killed shim has left, and where there is
 * none.
 *
 * @throws LinuxError when that cannot be determined
 */
export function isListening(path: string): boolean {
  const fd = socket(AF_UNIX, SOCK_STREAM, 0);
  try {
    connectUnix(fd, path);
    return true;
  } catch (error) {
    if (!(error instanceof LinuxError)) throw error;
    if (error.code === "ECONNREFUSED" || error.code === "ENOENT") return false;
    throw error;
  } finally {
    close(fd);
  }
}
