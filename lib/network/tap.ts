import { close, ioctl, LinuxError, O_RDWR, open } from "../../ffi/linux.ts";
import { AlreadyExistsError, HostError, WrongStateError } from "../errors.ts";
import { findLink, keepQuiet, setAlias, setMtu } from "./link.ts";
import { validateInterfaceName } from "./names.ts";
import {
  IFF_NO_PI,
  IFF_TAP,
  IFF_VNET_HDR,
  IFNAMSIZ,
  TUNSETGROUP,
  TUNSETIFF,
  TUNSETOWNER,
  TUNSETPERSIST,
} from "../protocol/netlink/constants.ts";
import { deleteLink, type Link } from "../protocol/netlink/link.ts";
import { NetlinkSocket } from "../protocol/netlink/socket.ts";
import {
  formatOwner,
  type IsAlive,
  isSameOwner,
  type TapOwner,
  tapOwner,
  TUN_KIND,
} from "./owner.ts";

export { TAP_NAME } from "./names.ts";

const TUN_NODE = "/dev/net/tun";
/** Size of `struct ifreq` in bytes (linux/if.h): the name, then a union that starts with flags. */
const IFREQ_SIZE = 40;

/**
 * How the tap is made. A process that attaches says anew which header it wants (tun_set_iff in
 * drivers/net/tun.c takes the flags of the latest TUNSETIFF): QEMU and Firecracker ask for the
 * virtio header, Solo5 does not. Until a monitor also turns offloads on (TUNSETOFFLOAD), the kernel
 * segments and checksums what it sends into the tap.
 */
const TAP_FLAGS = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;

/** What to do about a tap that another guest has. */
const ONE_GUEST = "only one container with a guest can use a network namespace at a time";

/** What the tap is to be. */
export interface TapOptions {
  /** At most 15 characters. */
  name: string;
  /** Only a process with this effective uid, and with this gid, can attach without privilege. */
  uid: number;
  gid: number;
  /** Bytes: that of the interface whose place the guest takes. */
  mtu: number;
  /** Whose it is for as long as that process lives, whether a monitor is attached or not yet. */
  owner: TapOwner;
}

/**
 * Makes a persistent tap in the calling thread's network namespace. It is down; it gets no IPv6
 * address of its own when it is brought up. Needs CAP_NET_ADMIN and the host's `/dev/net/tun`.
 *
 * @throws {AlreadyExistsError} when the name is taken: see `removeTap` for a stale one
 * @throws {HostError} when this machine has no tun device
 * @throws {LinuxError} naming the step that failed; nothing is left behind
 */
export function createTap({ name, uid, gid, mtu, owner }: TapOptions): void {
  if (linkExists(name)) {
    throw new AlreadyExistsError({
      operation: "create tap",
      subject: name,
      reason: "an interface of that name already exists in this network namespace",
      remedy: ONE_GUEST,
    });
  }
  const fd = attach("create tap", name);
  try {
    ioctl(fd, TUNSETOWNER, uid);
    ioctl(fd, TUNSETGROUP, gid);
    setMtu(name, mtu);
    keepQuiet(name);
    setAlias(name, formatOwner(owner));
    // Last: until here the tap is gone as soon as the fd is closed, however we end.
    ioctl(fd, TUNSETPERSIST, 1);
  } finally {
    close(fd);
  }
}

/**
 * Removes a tap that a killed container left in the calling thread's network namespace. One that
 * belongs to a container that lives stays, be that container only created: no monitor is attached
 * then, and taking the tap away would leave its guest without a network.
 *
 * @param gone the owner that was found to have ended; a process in a PID namespace cannot find out
 * @throws {WrongStateError} when it is in use, or belongs to another
 * @throws {HostError} when an interface of that name is not one of our taps
 */
export function removeStaleTap(name: string, gone?: TapOwner): void {
  using socket = new NetlinkSocket();
  const link = findLink(socket, name);
  if (link === undefined) return;
  const owner = tapOwner(link);
  if (owner !== undefined && !isSameOwner(owner, gone)) throw tapInUse(name, owner);
  removeLink(socket, link, owner !== undefined);
}

/** The error about a tap that another guest has. */
export function tapInUse(name: string, owner: TapOwner): WrongStateError {
  return new WrongStateError({
    operation: "create tap",
    subject: name,
    reason: `it belongs to another container's guest, process ${owner.pid}`,
    remedy: ONE_GUEST,
  });
}

/**
 * @param own who asks; undefined when that is not known
 * @param isAlive whether a tap's owner is
 * @returns whether a tap in the calling thread's network namespace was made by another container: one
 *   who is not known must be alive for that
 */
export function isTapOfAnother(name: string, own: TapOwner | undefined, isAlive: IsAlive): boolean {
  const owner = readTapOwner(name);
  if (owner === undefined) return false;
  return own === undefined ? isAlive(owner) : !isSameOwner(owner, own);
}

/** Undefined when the calling thread's network namespace has no tap of that name that was made here. */
function readTapOwner(name: string): TapOwner | undefined {
  using socket = new NetlinkSocket();
  return tapOwner(findLink(socket, name));
}

/**
 * Removes a tap from the calling thread's network namespace, unless a monitor is attached to it: a
 * running guest does not lose its network because another container starts or is deleted there.
 *
 * One whose owner has ended has no guest. It is removed even when a process is attached: a monitor can give its
 * descriptor away, to another container of its pod.
 *
 * @param isAlive whether a tap's owner is
 * @returns whether there was one
 * @throws {WrongStateError} when it is in use
 * @throws {HostError} when an interface of that name is not one of our taps
 */
export function removeTap(name: string, isAlive: IsAlive): boolean {
  using socket = new NetlinkSocket();
  const link = findLink(socket, name);
  if (link === undefined) return false;
  const owner = tapOwner(link);
  return removeLink(socket, link, owner !== undefined && !isAlive(owner));
}

/** Returns false when another process has removed it. */
function removeLink(socket: NetlinkSocket, link: Link, isStale: boolean): boolean {
  if (isStale) return deleteByIndex(socket, link);
  // Attaching to it and giving up its persistence lets the close remove it. A deletion by netlink
  // would also take it from under a monitor.
  const fd = attach("remove tap", link.name);
  try {
    ioctl(fd, TUNSETPERSIST, 0);
  } finally {
    close(fd);
  }
  return true;
}

function deleteByIndex(socket: NetlinkSocket, { index, name }: Link): boolean {
  try {
    socket.request(deleteLink(index), "remove tap", name);
    return true;
  } catch (error) {
    // Another process has, since.
    if (error instanceof LinuxError && error.code === "ENODEV") return false;
    throw error;
  }
}

/**
 * @returns whether the calling thread's network namespace has an interface of that name whose
 *   driver is tun
 */
export function tapExists(name: string): boolean {
  using socket = new NetlinkSocket();
  return findLink(socket, name)?.kind === TUN_KIND;
}

function linkExists(name: string): boolean {
  using socket = new NetlinkSocket();
  return findLink(socket, name) !== undefined;
}

/**
 * Attaches to a tap of the calling thread's network namespace, as a monitor would by its name.
 *
 * @returns a descriptor of it; as long as it is open no other process can attach
 * @throws {HostError} when the tap does not exist: attaching would create another one
 * @throws {WrongStateError} when it is in use
 */
export function attachTap(name: string): number {
  if (linkExists(name)) return attach("attach to tap", name);
  throw new HostError({ operation: "attach to tap", subject: name, reason: "it does not exist" });
}

/** Opens a queue of the tap, making it if need be. */
function attach(operation: string, name: string): number {
  const request = new Uint8Array(IFREQ_SIZE);
  request.set(new TextEncoder().encode(validateInterfaceName(name)));
  new DataView(request.buffer).setInt16(IFNAMSIZ, TAP_FLAGS, true);

  const fd = openTun(operation, name);
  try {
    ioctl(fd, TUNSETIFF, request);
    return fd;
  } catch (error) {
    close(fd);
    throw explainAttach(operation, name, error);
  }
}

function openTun(operation: string, name: string): number {
  try {
    return open(TUN_NODE, O_RDWR);
  } catch (error) {
    const missing = error instanceof LinuxError &&
      ["ENOENT", "ENODEV", "ENXIO"].includes(error.code);
    if (!missing) throw error;
    throw new HostError({
      operation,
      subject: name,
      reason: `${TUN_NODE}: ${error.code}`,
      remedy: "load the module: modprobe tun",
      cause: error,
    });
  }
}

function explainAttach(operation: string, name: string, error: unknown): unknown {
  if (!(error instanceof LinuxError)) return error;
  if (error.code === "EBUSY") {
    return new WrongStateError({
      operation,
      subject: name,
      reason: "EBUSY: a running monitor is attached to it",
      remedy: ONE_GUEST,
      cause: error,
    });
  }
  if (error.code === "EINVAL") {
    return new HostError({
      operation,
      subject: name,
      reason: "EINVAL: an interface of that name exists and is not a single-queue tap",
      remedy: `see it with: ip -d link show ${name}`,
      cause: error,
    });
  }
  return error;
}
