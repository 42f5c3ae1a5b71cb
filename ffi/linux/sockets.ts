/**
 * Sockets.
 * @module
 */
import { errnos } from "../constants/errno.ts";
import { AF_UNIX, SOCK_CLOEXEC } from "../constants/socket.ts";
import { checked, LinuxError, retried } from "../errors.ts";
import { allocate, cString } from "../memory.ts";
import { allocateStruct, setField, SOCKADDR_UN } from "../structs.ts";
import * as sysSocket from "../symbols/sys_socket.ts";

/**
 * @param type SOCK_*; SOCK_CLOEXEC is added
 * @returns two connected sockets of AF_UNIX
 * @throws {LinuxError}
 * @see socketpair(2)
 */
export function socketpair(type: number): [number, number] {
  const cell = allocate(8);
  checked(
    "socketpair",
    undefined,
    () => sysSocket.socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, cell),
  );
  const view = new DataView(cell.buffer);
  return [view.getInt32(0, true), view.getInt32(4, true)];
}

/**
 * @param domain AF_*
 * @param type SOCK_*; SOCK_CLOEXEC is added
 * @param protocol of the domain, or 0
 * @returns a descriptor
 * @throws {LinuxError}
 * @see socket(2)
 */
export function socket(domain: number, type: number, protocol: number): number {
  return checked(
    "socket",
    `domain ${domain}`,
    () => sysSocket.socket(domain, type | SOCK_CLOEXEC, protocol),
  );
}

/**
 * @param fd a socket of AF_UNIX
 * @param path where it appears; at most 107 bytes
 * @throws {LinuxError}
 * @see unix(7)
 */
export function bindUnix(fd: number, path: string): void {
  const address = unixAddress(path, "bind");
  checked("bind", path, () => sysSocket.bind(fd, address, address.length));
}

/**
 * @param fd a socket of AF_UNIX
 * @param path of the listening socket; at most 107 bytes
 * @throws {LinuxError}
 * @see unix(7)
 */
export function connectUnix(fd: number, path: string): void {
  const address = unixAddress(path, "connect");
  retried("connect", path, () => sysSocket.connect(fd, address, address.length));
}

/**
 * @param fd a bound socket
 * @param backlog how many may wait to be accepted
 * @throws {LinuxError}
 * @see listen(2)
 */
export function listen(fd: number, backlog: number): void {
  checked("listen", `fd ${fd}`, () => sysSocket.listen(fd, backlog));
}

/**
 * @param fd a listening socket
 * @returns the connection, closed at exec
 * @throws {LinuxError}
 * @see accept4(2)
 */
export function accept(fd: number): number {
  return retried("accept4", `fd ${fd}`, () => sysSocket.accept4(fd, null, null, SOCK_CLOEXEC));
}

/**
 * @param fd a socket
 * @param sockaddr the domain's own structure
 * @throws {LinuxError}
 * @see bind(2)
 */
export function bind(fd: number, sockaddr: Uint8Array): void {
  checked("bind", `fd ${fd}`, () => sysSocket.bind(fd, sockaddr, sockaddr.length));
}

/**
 * @param fd a connected socket
 * @param buffer what to send
 * @param flags MSG_*
 * @returns bytes sent
 * @throws {LinuxError}
 * @see send(2)
 */
export function send(fd: number, buffer: Uint8Array, flags: number): number {
  return retried(
    "send",
    `fd ${fd}`,
    () => sysSocket.send(fd, buffer, BigInt(buffer.length), flags),
  );
}

/**
 * @param fd a socket
 * @param buffer receives at most its length
 * @param flags MSG_*
 * @returns bytes received; 0 when the other side is closed; with MSG_TRUNC a message's whole length
 * @throws {LinuxError}
 * @see recv(2)
 */
export function recv(fd: number, buffer: Uint8Array, flags: number): number {
  return retried(
    "recv",
    `fd ${fd}`,
    () => sysSocket.recv(fd, buffer, BigInt(buffer.length), flags),
  );
}

/**
 * @param fd a socket
 * @param level SOL_*
 * @param option of the level
 * @param value as the option has it; not empty
 * @throws {LinuxError}
 * @see setsockopt(2)
 */
export function setsockopt(fd: number, level: number, option: number, value: Uint8Array): void {
  checked(
    "setsockopt",
    `fd ${fd}`,
    () => sysSocket.setsockopt(fd, level, option, value, value.length),
  );
}

function unixAddress(path: string, operation: string): Uint8Array<ArrayBuffer> {
  const name = cString(path, operation);
  const { offset, size } = SOCKADDR_UN.fields.sun_path;
  if (name.length > size) {
    throw new LinuxError(
      operation,
      path,
      errnos.ENAMETOOLONG as number,
      `${name.length - 1} bytes, where a socket's path has at most ${size - 1}`,
    );
  }
  // An empty path would be an abstract or unnamed address, which anybody may connect to.
  if (name.length === 1) throw new LinuxError(operation, path, errnos.ENOENT as number);
  const address = allocateStruct(SOCKADDR_UN);
  setField(address, "sun_family", AF_UNIX);
  address.bytes.set(name, offset);
  return address.bytes.subarray(0, offset + name.length);
}
