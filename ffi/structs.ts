/**
 * C structures as tables, and reading and writing their fields. A test compares size, alignment and
 * every field with a C compiler's. All numbers are little-endian.
 * @module
 */
import { allocate } from "./memory.ts";

export interface Field {
  /** Bytes from the structure's start. */
  offset: number;
  /** Bytes; an array's size is that of all its elements. */
  size: number;
}

export interface StructLayout<F extends string = string> {
  /** As C writes the type: `struct statx`. */
  name: string;
  /** The header that defines it. */
  header: string;
  /** Bytes. */
  size: number;
  /** Bytes. */
  alignment: number;
  /** A prefix of the structure in newer headers, which the kernel accepts. */
  prefix?: true;
  fields: Readonly<Record<F, Field>>;
}

/** One structure, or several in a row, in memory. */
export interface Struct<F extends string> {
  layout: StructLayout<F>;
  bytes: Uint8Array<ArrayBuffer>;
  view: DataView<ArrayBuffer>;
}

/**
 * @param layout of one structure
 * @param count how many in a row, at least 1
 * @returns zeroed structures
 */
export function allocateStruct<F extends string>(layout: StructLayout<F>, count = 1): Struct<F> {
  const bytes = allocate(layout.size * count);
  return { layout, bytes, view: new DataView(bytes.buffer) };
}

/**
 * A structure inside a larger buffer.
 *
 * @param layout of one structure
 * @param bytes the buffer
 * @param offset bytes from its start
 */
export function structAt<F extends string>(
  layout: StructLayout<F>,
  bytes: Uint8Array<ArrayBuffer>,
  offset: number,
): Struct<F> {
  const part = bytes.subarray(offset, offset + layout.size);
  return { layout, bytes: part, view: new DataView(part.buffer, part.byteOffset, part.length) };
}

/**
 * @param struct where to write
 * @param field its name
 * @param value an integer; a negative one is written in two's complement
 * @param index which of several structures
 */
export function setField<F extends string>(
  struct: Struct<F>,
  field: F,
  value: number | bigint,
  index = 0,
): void {
  const { offset, size } = struct.layout.fields[field];
  const at = index * struct.layout.size + offset;
  if (size === 8) struct.view.setBigInt64(at, BigInt.asIntN(64, BigInt(value)), true);
  else if (size === 4) struct.view.setInt32(at, Number(value), true);
  else if (size === 2) struct.view.setInt16(at, Number(value), true);
  else throw new TypeError(`${struct.layout.name}.${field} is no integer`);
}

/**
 * @param struct where to read
 * @param field its name
 * @param index which of several structures
 * @returns the field as an unsigned integer; above 2^53 it loses precision
 */
export function getField<F extends string>(struct: Struct<F>, field: F, index = 0): number {
  const { offset, size } = struct.layout.fields[field];
  const at = index * struct.layout.size + offset;
  if (size === 8) return Number(struct.view.getBigUint64(at, true));
  if (size === 4) return struct.view.getUint32(at, true);
  if (size === 2) return struct.view.getUint16(at, true);
  throw new TypeError(`${struct.layout.name}.${field} is no integer`);
}

/** As `getField`, exact for 64 bits. */
export function getField64<F extends string>(struct: Struct<F>, field: F, index = 0): bigint {
  const { offset, size } = struct.layout.fields[field];
  if (size !== 8) throw new TypeError(`${struct.layout.name}.${field} is not of 64 bits`);
  return struct.view.getBigUint64(index * struct.layout.size + offset, true);
}

function define<const F extends string>(layout: StructLayout<F>): StructLayout<F> {
  return layout;
}

/** @see statx(2); linux/stat.h */
export const STATX = define({
  name: "struct statx",
  header: "linux/stat.h",
  size: 256,
  alignment: 8,
  fields: {
    stx_mask: { offset: 0, size: 4 },
    stx_nlink: { offset: 16, size: 4 },
    stx_uid: { offset: 20, size: 4 },
    stx_gid: { offset: 24, size: 4 },
    stx_mode: { offset: 28, size: 2 },
    stx_ino: { offset: 32, size: 8 },
    stx_size: { offset: 40, size: 8 },
    stx_rdev_major: { offset: 128, size: 4 },
    stx_rdev_minor: { offset: 132, size: 4 },
    stx_dev_major: { offset: 136, size: 4 },
    stx_dev_minor: { offset: 140, size: 4 },
  },
});

/** @see openat2(2); linux/openat2.h */
export const OPEN_HOW = define({
  name: "struct open_how",
  header: "linux/openat2.h",
  size: 24,
  alignment: 8,
  fields: {
    flags: { offset: 0, size: 8 },
    mode: { offset: 8, size: 8 },
    resolve: { offset: 16, size: 8 },
  },
});

/** @see fcntl(2); fcntl.h */
export const FLOCK = define({
  name: "struct flock",
  header: "fcntl.h",
  size: 32,
  alignment: 8,
  fields: {
    l_type: { offset: 0, size: 2 },
    l_whence: { offset: 2, size: 2 },
    l_start: { offset: 8, size: 8 },
    l_len: { offset: 16, size: 8 },
    l_pid: { offset: 24, size: 4 },
  },
});

/** @see landlock_create_ruleset(2); linux/landlock.h */
export const LANDLOCK_RULESET_ATTR = define({
  name: "struct landlock_ruleset_attr",
  header: "linux/landlock.h",
  size: 24,
  alignment: 8,
  fields: {
    handled_access_fs: { offset: 0, size: 8 },
    handled_access_net: { offset: 8, size: 8 },
    scoped: { offset: 16, size: 8 },
  },
});

/** @see landlock_add_rule(2); linux/landlock.h */
export const LANDLOCK_PATH_BENEATH_ATTR = define({
  name: "struct landlock_path_beneath_attr",
  header: "linux/landlock.h",
  size: 12,
  alignment: 1,
  fields: {
    allowed_access: { offset: 0, size: 8 },
    parent_fd: { offset: 8, size: 4 },
  },
});

/** @see landlock_add_rule(2); linux/landlock.h */
export const LANDLOCK_NET_PORT_ATTR = define({
  name: "struct landlock_net_port_attr",
  header: "linux/landlock.h",
  size: 16,
  alignment: 8,
  fields: {
    allowed_access: { offset: 0, size: 8 },
    port: { offset: 8, size: 8 },
  },
});

/** @see mount_setattr(2); linux/mount.h */
export const MOUNT_ATTR = define({
  name: "struct mount_attr",
  header: "linux/mount.h",
  size: 32,
  alignment: 8,
  fields: {
    attr_set: { offset: 0, size: 8 },
    attr_clr: { offset: 8, size: 8 },
    propagation: { offset: 16, size: 8 },
    userns_fd: { offset: 24, size: 8 },
  },
});

/** @see prlimit(2); linux/resource.h */
export const RLIMIT64 = define({
  name: "struct rlimit64",
  header: "linux/resource.h",
  size: 16,
  alignment: 8,
  fields: {
    rlim_cur: { offset: 0, size: 8 },
    rlim_max: { offset: 8, size: 8 },
  },
});

/** @see poll(2); asm-generic/poll.h */
export const POLLFD = define({
  name: "struct pollfd",
  header: "poll.h",
  size: 8,
  alignment: 4,
  fields: {
    fd: { offset: 0, size: 4 },
    events: { offset: 4, size: 2 },
    revents: { offset: 6, size: 2 },
  },
});

/** Packed on x86-64. @see epoll_ctl(2); linux/eventpoll.h */
export const EPOLL_EVENT = define({
  name: "struct epoll_event",
  header: "sys/epoll.h",
  size: 12,
  alignment: 1,
  fields: {
    events: { offset: 0, size: 4 },
    data: { offset: 4, size: 8 },
  },
});

/** What the kernel takes, not what the C library calls by this name. @see rt_sigaction(2); asm/signal.h */
export const KERNEL_SIGACTION = define({
  name: "struct sigaction",
  header: "asm/signal.h",
  size: 32,
  alignment: 8,
  fields: {
    sa_handler: { offset: 0, size: 8 },
    sa_flags: { offset: 8, size: 8 },
    sa_restorer: { offset: 16, size: 8 },
    sa_mask: { offset: 24, size: 8 },
  },
});

/** A set of the signals 1 to 64 as the kernel takes it. @see rt_sigprocmask(2); asm/signal.h */
export const KERNEL_SIGSET = define({
  name: "sigset_t",
  header: "asm/signal.h",
  size: 8,
  alignment: 8,
  fields: {},
});

/** The C library's set: the kernel's, and unused room. @see sigsetops(3); signal.h */
export const SIGSET = define({
  name: "sigset_t",
  header: "signal.h",
  size: 128,
  alignment: 8,
  fields: {},
});

/** @see capget(2); linux/capability.h */
export const CAP_USER_HEADER = define({
  name: "struct __user_cap_header_struct",
  header: "linux/capability.h",
  size: 8,
  alignment: 4,
  fields: {
    version: { offset: 0, size: 4 },
    pid: { offset: 4, size: 4 },
  },
});

/** Version 3 takes two in a row: capabilities 0 to 31, then 32 to 63. @see capget(2); linux/capability.h */
export const CAP_USER_DATA = define({
  name: "struct __user_cap_data_struct",
  header: "linux/capability.h",
  size: 12,
  alignment: 4,
  fields: {
    effective: { offset: 0, size: 4 },
    permitted: { offset: 4, size: 4 },
    inheritable: { offset: 8, size: 4 },
  },
});

/** @see unix(7); sys/un.h */
export const SOCKADDR_UN = define({
  name: "struct sockaddr_un",
  header: "sys/un.h",
  size: 110,
  alignment: 2,
  fields: {
    sun_family: { offset: 0, size: 2 },
    sun_path: { offset: 2, size: 108 },
  },
});

/** @see recvmsg(2); bits/types/struct_iovec.h */
export const IOVEC = define({
  name: "struct iovec",
  header: "sys/uio.h",
  size: 16,
  alignment: 8,
  fields: {
    iov_base: { offset: 0, size: 8 },
    iov_len: { offset: 8, size: 8 },
  },
});

/** @see recvmsg(2); bits/socket.h */
export const MSGHDR = define({
  name: "struct msghdr",
  header: "sys/socket.h",
  size: 56,
  alignment: 8,
  fields: {
    msg_iov: { offset: 16, size: 8 },
    msg_iovlen: { offset: 24, size: 8 },
    msg_control: { offset: 32, size: 8 },
    msg_controllen: { offset: 40, size: 8 },
    msg_flags: { offset: 48, size: 4 },
  },
});

/** Its data follows it. @see cmsg(3); bits/socket.h */
export const CMSGHDR = define({
  name: "struct cmsghdr",
  header: "sys/socket.h",
  size: 16,
  alignment: 8,
  fields: {
    cmsg_len: { offset: 0, size: 8 },
    cmsg_level: { offset: 8, size: 4 },
    cmsg_type: { offset: 12, size: 4 },
  },
});

/** The kernel's, without the speeds of the C library's. @see termios(3); asm-generic/termbits.h */
export const KERNEL_TERMIOS = define({
  name: "struct termios",
  header: "asm/termbits.h",
  size: 36,
  alignment: 4,
  fields: {
    c_iflag: { offset: 0, size: 4 },
    c_oflag: { offset: 4, size: 4 },
    c_cflag: { offset: 8, size: 4 },
    c_lflag: { offset: 12, size: 4 },
    c_cc: { offset: 17, size: 19 },
  },
});

/** @see ioctl_tty(2); asm-generic/termios.h */
export const WINSIZE = define({
  name: "struct winsize",
  header: "sys/ioctl.h",
  size: 8,
  alignment: 2,
  fields: {
    ws_row: { offset: 0, size: 2 },
    ws_col: { offset: 2, size: 2 },
  },
});

/** Opaque. @see posix_spawn(3); spawn.h */
export const POSIX_SPAWNATTR = define({
  name: "posix_spawnattr_t",
  header: "spawn.h",
  size: 336,
  alignment: 8,
  fields: {},
});

/** Opaque. @see posix_spawn(3); spawn.h */
export const POSIX_SPAWN_FILE_ACTIONS = define({
  name: "posix_spawn_file_actions_t",
  header: "spawn.h",
  size: 80,
  alignment: 8,
  fields: {},
});

/** Members of several commands, which overlap. @see bpf(2); linux/bpf.h */
export const BPF_ATTR = define({
  name: "union bpf_attr",
  header: "linux/bpf.h",
  size: 64,
  alignment: 8,
  prefix: true,
  fields: {
    prog_type: { offset: 0, size: 4 },
    insn_cnt: { offset: 4, size: 4 },
    insns: { offset: 8, size: 8 },
    license: { offset: 16, size: 8 },
    log_level: { offset: 24, size: 4 },
    log_size: { offset: 28, size: 4 },
    log_buf: { offset: 32, size: 8 },
    prog_name: { offset: 48, size: 16 },
    target_fd: { offset: 0, size: 4 },
    attach_bpf_fd: { offset: 4, size: 4 },
    attach_type: { offset: 8, size: 4 },
    attach_flags: { offset: 12, size: 4 },
    prog_id: { offset: 0, size: 4 },
    "info.bpf_fd": { offset: 0, size: 4 },
    "info.info_len": { offset: 4, size: 4 },
    "info.info": { offset: 8, size: 8 },
    "query.target_fd": { offset: 0, size: 4 },
    "query.attach_type": { offset: 4, size: 4 },
    "query.prog_ids": { offset: 16, size: 8 },
    "query.prog_cnt": { offset: 24, size: 4 },
  },
});

/** @see linux/bpf.h */
export const BPF_PROG_INFO = define({
  name: "struct bpf_prog_info",
  header: "linux/bpf.h",
  size: 80,
  alignment: 8,
  prefix: true,
  fields: {
    type: { offset: 0, size: 4 },
    name: { offset: 64, size: 16 },
  },
});

/** @see linux/filter.h, seccomp(2) */
export const SOCK_FPROG = define({
  name: "struct sock_fprog",
  header: "linux/filter.h",
  size: 16,
  alignment: 8,
  fields: {
    len: { offset: 0, size: 2 },
    filter: { offset: 8, size: 8 },
  },
});
