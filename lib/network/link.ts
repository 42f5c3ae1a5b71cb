import { LinuxError } from "../../ffi/linux.ts";
import { addAddress } from "../protocol/netlink/address.ts";
import {
  getLink,
  type Link,
  parseLink,
  setLinkAlias,
  setLinkMtu,
  setLinkUp,
  setLinkWithoutLinkLocal,
} from "../protocol/netlink/link.ts";
import { RTM_NEWLINK } from "../protocol/netlink/constants.ts";
import { malformed } from "../protocol/netlink/message.ts";
import { NetlinkSocket } from "../protocol/netlink/socket.ts";
import { validateInterfaceName } from "./names.ts";

/**
 * Looks an interface up in the socket's network namespace.
 *
 * @returns undefined when no interface has that name
 * @throws {InvalidConfigurationError} when it cannot be a name
 */
export function findLink(socket: NetlinkSocket, name: string): Link | undefined {
  try {
    return requireLink(socket, name);
  } catch (error) {
    if (error instanceof LinuxError && error.code === "ENODEV") return undefined;
    throw error;
  }
}

/**
 * Looks an interface up that must be there.
 *
 * @throws {LinuxError} with code ENODEV when no interface has that name
 * @throws {InvalidConfigurationError} when it cannot be a name
 */
export function requireLink(socket: NetlinkSocket, name: string): Link {
  const answer = socket.request(getLink(validateInterfaceName(name)), "find interface", name)
    .find((message) => message.type === RTM_NEWLINK);
  if (answer === undefined) throw malformed(`the answer about ${name} holds no link`);
  return parseLink(answer);
}

/**
 * Brings an interface of the calling thread's network namespace up. One that is up stays up.
 *
 * @throws {LinuxError} with code ENODEV when no interface has that name
 */
export function linkUp(name: string): void {
  using socket = new NetlinkSocket();
  socket.request(setLinkUp(requireLink(socket, name).index), "bring up interface", name);
}

/**
 * Gives an interface of the calling thread's network namespace an address, and with it the route to
 * its subnet once the interface is up.
 *
 * @throws {LinuxError} with code EEXIST when it has that address
 */
export function giveAddress(
  name: string,
  address: { address: string; prefixLength: number },
): void {
  using socket = new NetlinkSocket();
  const { index } = requireLink(socket, name);
  socket.request(addAddress(index, address), `add address ${address.address} to interface`, name);
}

/**
 * @param name of an interface in the calling thread's network namespace
 * @param mtu bytes
 * @throws {LinuxError} with code EINVAL when the device cannot have that MTU
 */
export function setMtu(name: string, mtu: number): void {
  using socket = new NetlinkSocket();
  const { index } = requireLink(socket, name);
  socket.request(setLinkMtu(index, mtu), `set MTU ${mtu} on interface`, name);
}

/**
 * @param name of an interface in the calling thread's network namespace
 * @param alias a text that it is to carry, at most 255 bytes
 */
export function setAlias(name: string, alias: string): void {
  using socket = new NetlinkSocket();
  const { index } = requireLink(socket, name);
  socket.request(setLinkAlias(index, alias), "set alias of interface", name);
}

/**
 * Keeps an interface from taking part in IPv6 on its own once it is up: no link-local address, hence
 * no router solicitations or duplicate address detection that the other end would see.
 *
 * @param name of an interface in the calling thread's network namespace
 */
export function keepQuiet(name: string): void {
  using socket = new NetlinkSocket();
  const { index } = requireLink(socket, name);
  try {
    socket.request(setLinkWithoutLinkLocal(index), "turn off IPv6 addresses of interface", name);
  } catch (error) {
    // A kernel without IPv6, or booted with ipv6.disable=1, has nothing to turn off.
    if (error instanceof LinuxError && error.code === "EAFNOSUPPORT") return;
    throw error;
  }
}
