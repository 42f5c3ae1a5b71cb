import { bindUnix, close, connectUnix, O_DIRECTORY, O_PATH, open } from "../../ffi/linux.ts";

/**
 * Socket paths hold 108 bytes (unix(7)), and a state directory may lie deeper than that: so the
 * directory is opened, and the address goes through its descriptor.
 *
 * @param fd a socket of AF_UNIX
 * @param path absolute
 * @throws LinuxError
 */
export function bindAt(fd: number, path: string): void {
  through(path, (address) => bindUnix(fd, address));
}

/** As `bindAt`, to a socket that is listened on. */
export function connectAt(fd: number, path: string): void {
  through(path, (address) => connectUnix(fd, address));
}

function through(path: string, use: (address: string) => void): void {
  const slash = path.lastIndexOf("/");
  const parent = open(path.slice(0, slash + 1), O_PATH | O_DIRECTORY);
  try {
    use(`/proc/self/fd/${parent}/${path.slice(slash + 1)}`);
  } finally {
    close(parent);
  }
}
