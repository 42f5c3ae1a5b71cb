/**
 * Sockets.
 * @module
 */
import { errnos } from "../constants/errno.ts";
import {
  AF_UNIX,
  MSG_CMSG_CLOEXEC,
  SCM_RIGHTS,
  SOCK_CLOEXEC,
  SOL_SOCKET,
} from "../constants/socket.ts";
import { checked, LinuxError, retried } from "../errors.ts";
import { addressOf, allocate, cString } from "../memory.ts";
import {
  allocateStruct,
  CMSGHDR,
  getField,
  IOVEC,
  MSGHDR,
  setField,
  SOCKADDR_UN,
  type Struct,
  structAt,
} from "../structs.ts";
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
 * @param backlog how many connections can wait to be accepted
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
 * @see connect(2)
 */
export function connect(fd: number, sockaddr: Uint8Array): void {
  retried("connect", `fd ${fd}`, () => sysSocket.connect(fd, sockaddr, sockaddr.length));
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
 * Sends bytes and a copy of a descriptor.
 *
 * @param fd a connected socket of AF_UNIX
 * @param buffer what to send; not empty: a stream carries descriptors with bytes only
 * @param descriptor what to copy
 * @param flags MSG_*
 * @returns bytes sent
 * @throws {LinuxError}
 * @see sendmsg(2), unix(7)
 */
export function sendDescriptor(
  fd: number,
  buffer: Uint8Array,
  descriptor: number,
  flags: number,
): number {
  const message = new DescriptorMessage(buffer.length);
  message.data.set(buffer);
  message.setDescriptor(descriptor);
  return retried("sendmsg", `fd ${fd}`, () => sysSocket.sendmsg(fd, message.bytes, flags));
}

/**
 * Receives bytes and at most one descriptor; the kernel closes any others.
 *
 * @param fd a socket of AF_UNIX
 * @param buffer receives at most its length; not empty
 * @param flags MSG_*; MSG_CMSG_CLOEXEC is added
 * @returns bytes received, 0 when the other side is closed; and the descriptor, if there was one
 * @throws {LinuxError}
 * @see recvmsg(2), unix(7)
 */
export function receiveDescriptor(
  fd: number,
  buffer: Uint8Array,
  flags: number,
): { count: number; descriptor?: number } {
  // In the padding up to CMSG_SPACE(sizeof(int)) there would be room for a second one.
  const message = new DescriptorMessage(buffer.length, DESCRIPTOR_LENGTH);
  const count = retried(
    "recvmsg",
    `fd ${fd}`,
    () => sysSocket.recvmsg(fd, message.bytes, flags | MSG_CMSG_CLOEXEC),
  );
  buffer.set(message.data.subarray(0, count));
  return { count, descriptor: message.descriptor() };
}

/** CMSG_LEN(sizeof(int)) and CMSG_SPACE(sizeof(int)), see cmsg(3). */
const DESCRIPTOR_LENGTH = CMSGHDR.size + 4;
const DESCRIPTOR_SPACE = CMSGHDR.size + 8;

/** A message header and all that it points to, in one buffer. */
class DescriptorMessage {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly data: Uint8Array<ArrayBuffer>;
  readonly #control: Struct<keyof typeof CMSGHDR.fields>;
  readonly #view: DataView<ArrayBuffer>;

  /**
   * @param size bytes of data, at least 1
   * @param room bytes of the control buffer to offer for the descriptor
   */
  constructor(size: number, room = DESCRIPTOR_SPACE) {
    const [vectorAt, controlAt] = [MSGHDR.size, MSGHDR.size + IOVEC.size];
    const dataAt = controlAt + DESCRIPTOR_SPACE;
    this.bytes = allocate(dataAt + size);
    this.data = this.bytes.subarray(dataAt);
    this.#control = structAt(CMSGHDR, this.bytes, controlAt);
    this.#view = new DataView(this.bytes.buffer, controlAt + CMSGHDR.size, 4);
    const base = addressOf(this.bytes);

    const vector = structAt(IOVEC, this.bytes, vectorAt);
    setField(vector, "iov_base", base + BigInt(dataAt));
    setField(vector, "iov_len", size);
    const header = structAt(MSGHDR, this.bytes, 0);
    setField(header, "msg_iov", base + BigInt(vectorAt));
    setField(header, "msg_iovlen", 1);
    setField(header, "msg_control", base + BigInt(controlAt));
    setField(header, "msg_controllen", room);
  }

  setDescriptor(fd: number): void {
    setField(this.#control, "cmsg_len", DESCRIPTOR_LENGTH);
    setField(this.#control, "cmsg_level", SOL_SOCKET);
    setField(this.#control, "cmsg_type", SCM_RIGHTS);
    this.#view.setInt32(0, fd, true);
  }

  /** Of a message that was received. */
  descriptor(): number | undefined {
    const came = getField(this.#control, "cmsg_len") === DESCRIPTOR_LENGTH &&
      getField(this.#control, "cmsg_level") === SOL_SOCKET &&
      getField(this.#control, "cmsg_type") === SCM_RIGHTS;
    return came ? this.#view.getInt32(0, true) : undefined;
  }
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
  // An empty path would be an abstract or unnamed address, which any process may connect to.
  if (name.length === 1) throw new LinuxError(operation, path, errnos.ENOENT as number);
  const address = allocateStruct(SOCKADDR_UN);
  setField(address, "sun_family", AF_UNIX);
  address.bytes.set(name, offset);
  return address.bytes.subarray(0, offset + name.length);
}
