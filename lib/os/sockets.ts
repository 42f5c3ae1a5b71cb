import {
  AF_UNIX,
  bindUnix,
  close,
  connectUnix,
  listen,
  O_DIRECTORY,
  O_PATH,
  open,
  SOCK_STREAM,
  socket,
  umask,
} from "../../ffi/linux.ts";

/**
 * Socket paths hold 108 bytes (unix(7)), and a state directory may lie deeper than that: so the
 * directory is opened, and the address goes through its descriptor.
 *
 * @param fd a socket of AF_UNIX
 * @param path absolute
 * @throws LinuxError
 */
function bindAt(fd: number, path: string): void {
  through(path, (address) => bindUnix(fd, address));
}

/** As `bindAt`, to a socket that is listened on. */
export function connectAt(fd: number, path: string): void {
  through(path, (address) => connectUnix(fd, address));
}

/**
 * Binds a new socket and listens on it. Only its owner, root, may connect.
 *
 * @param path absolute
 * @param flags SOCK_NONBLOCK: accepting does not wait
 * @throws LinuxError
 */
export function listenAt(path: string, backlog: number, flags = 0): number {
  const fd = socket(AF_UNIX, SOCK_STREAM | flags, 0);
  const mask = umask(0o177);
  try {
    bindAt(fd, path);
  } finally {
    umask(mask);
  }
  listen(fd, backlog);
  return fd;
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
