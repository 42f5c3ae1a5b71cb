/**
 * Values of arguments that tables compare: constants of the kernel's headers by their names there.
 * @module
 */
import { arch } from "../arch/arch.ts";

/** linux/sched.h */
export const CLONE_VM = 0x100;
export const CLONE_FS = 0x200;
export const CLONE_THREAD = 0x1_0000;
/** Every CLONE_NEW* that clone(2) takes; CLONE_NEWTIME is where it takes the signal. */
export const CLONE_NAMESPACES = 0x7e02_0000;

/** asm-generic/mman-common.h, linux/mman.h */
export const PROT_WRITE = 2;
export const PROT_EXEC = 4;
export const MAP_TYPE = 0x0f;
export const MAP_PRIVATE = 0x02;
export const MAP_ANONYMOUS = 0x20;

/** linux/socket.h, linux/net.h, linux/netlink.h */
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_NETLINK = 16;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
/** SOCK_TYPE_MASK; above it are SOCK_CLOEXEC and SOCK_NONBLOCK. */
export const SOCK_TYPE = 0xf;
export const NETLINK_ROUTE = 0;

/** linux/in.h. A stream, and a datagram, of other protocols is not what Landlock and firewalls expect. */
export const IPPROTO_IP = 0;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;

/**
 * linux/fcntl.h, asm-generic/fcntl.h: what copies a descriptor, and reads and sets its flags. Others have
 * the kernel send signals (F_SETOWN, F_SETSIG, F_NOTIFY, F_SETLEASE).
 */
export const F = {
  DUPFD: 0,
  GETFD: 1,
  SETFD: 2,
  GETFL: 3,
  SETFL: 4,
  GETLK: 5,
  SETLK: 6,
  OFD_GETLK: 36,
  OFD_SETLK: 37,
  DUPFD_CLOEXEC: 1030,
  ADD_SEALS: 1033,
} as const;
/** Of F_SETFL: a signal when something can be read. */
export const O_ASYNC = 0o20000;

/** linux/personality.h: asks, and changes nothing. */
export const PERSONALITY_QUERY = 0xffff_ffff;

/** linux/prctl.h */
export const PR = {
  SET_PDEATHSIG: 1,
  SET_DUMPABLE: 4,
  SET_NAME: 15,
  SET_SECCOMP: 22,
  CAPBSET_READ: 23,
  CAPBSET_DROP: 24,
  SET_TIMERSLACK: 29,
  MCE_KILL: 33,
  SET_NO_NEW_PRIVS: 38,
  SET_VMA: 0x5356_4d41,
} as const;

/** asm-generic/ioctls.h */
const TERMINAL = {
  TCGETS: 0x5401,
  TCSETS: 0x5402,
  TCSETSW: 0x5403,
  TCSETSF: 0x5404,
  TIOCGWINSZ: 0x5413,
  TCGETS2: 0x802c_542a,
  FIONREAD: 0x541b,
  FIONBIO: 0x5421,
} as const;

/** linux/fs.h, linux/hdreg.h */
const BLOCK = {
  HDIO_GETGEO: 0x301,
  BLKROGET: 0x125e,
  BLKGETSIZE: 0x1260,
  BLKSECTGET: 0x1267,
  BLKSSZGET: 0x1268,
  BLKDISCARD: 0x1277,
  BLKPBSZGET: 0x127b,
  BLKROTATIONAL: 0x127e,
  BLKZEROOUT: 0x127f,
  BLKGETSIZE64: 0x8008_1272,
} as const;

/** linux/if_tun.h, linux/sockios.h */
const NETWORK = {
  TUNSETIFF: 0x4004_54ca,
  TUNGETFEATURES: 0x8004_54cf,
  TUNSETOFFLOAD: 0x4004_54d0,
  TUNGETIFF: 0x8004_54d2,
  TUNSETSNDBUF: 0x4004_54d4,
  TUNGETVNETHDRSZ: 0x8004_54d7,
  TUNSETVNETHDRSZ: 0x4004_54d8,
  TUNSETVNETLE: 0x4004_54dc,
  TUNSETVNETBE: 0x4004_54de,
  SIOCGIFMTU: 0x8921,
  SIOCETHTOOL: 0x8946,
} as const;

/** linux/vhost.h */
const VHOST = {
  VHOST_GET_FEATURES: 0x8008_af00,
  VHOST_SET_FEATURES: 0x4008_af00,
  VHOST_SET_OWNER: 0xaf01,
  VHOST_SET_MEM_TABLE: 0x4008_af03,
  VHOST_SET_VRING_NUM: 0x4008_af10,
  VHOST_SET_VRING_ADDR: 0x4028_af11,
  VHOST_SET_VRING_BASE: 0x4008_af12,
  VHOST_GET_VRING_BASE: 0xc008_af12,
  VHOST_SET_VRING_KICK: 0x4008_af20,
  VHOST_SET_VRING_CALL: 0x4008_af21,
  VHOST_SET_VRING_ERR: 0x4008_af22,
  VHOST_SET_VRING_BUSYLOOP_TIMEOUT: 0x4008_af23,
  VHOST_SET_BACKEND_FEATURES: 0x4008_af25,
  VHOST_GET_BACKEND_FEATURES: 0x8008_af26,
  VHOST_NET_SET_BACKEND: 0x4008_af30,
} as const;

const REQUESTS: Readonly<Record<string, number>> = {
  ...TERMINAL,
  ...BLOCK,
  ...NETWORK,
  ...VHOST,
};

/**
 * A condition of ioctl(2): one of these requests.
 *
 * @param names separated by spaces
 * @throws {TypeError} when there is none of a name
 */
export function requests(names: string): { argument: number; among: number[] } {
  const among = names.split(" ").map((name) => {
    const number = REQUESTS[name];
    if (number === undefined) throw new TypeError(`there is no request ${name}`);
    return number;
  });
  return { argument: 1, among };
}

/** A condition of ioctl(2): one of the requests to KVM that this monitor makes. */
export function kvmRequests(monitor: "qemu" | "firecracker" | "hvt") {
  return { argument: 1, among: arch.kvm.requests(monitor) };
}
