import { BPF_PROG_TYPE_SCHED_CLS, bpfProgLoad, close } from "../../ffi/linux.ts";
import { HostError } from "../errors.ts";
import { findLink, requireLink } from "./link.ts";
import {
  RTM_NEWQDISC,
  RTM_NEWTFILTER,
  TC_H_INGRESS_HANDLE,
} from "../protocol/netlink/constants.ts";
import type { Link } from "../protocol/netlink/link.ts";
import { NetlinkSocket } from "../protocol/netlink/socket.ts";
import {
  addIngressQdisc,
  addProgramFilter,
  addRedirectFilter,
  deleteIngressQdisc,
  listIngressFilters,
  listQdiscs,
  parseTrafficControl,
} from "../protocol/netlink/tc.ts";
import { filterProgram } from "./filter_program.ts";
import { shareProgram } from "./share_program.ts";

/**
 * Priority of our filters, by which we know them again. tc(8) and other programs let the kernel
 * number theirs (49152 and down) or start from 1.
 */
const FILTER_PRIORITY = 30066;

/** As tc(8) and bpftool(8) show them. */
const SHARE_PROGRAM = "urunc_share";
const FILTER_PROGRAM = "urunc_filter";

/**
 * Who has an ingress qdisc. `nobody`: it has no filter, and so does nothing; it is replaced, as what is
 * `ours` is. `foreign` says what of it another program has made.
 */
export type IngressOwner = "nobody" | "ours" | { foreign: string };

/**
 * Sends every packet that comes in by one interface out of the other, past the namespace's own
 * network stack. What an earlier container left on `from` is replaced.
 *
 * @param names of two interfaces in the calling thread's network namespace
 * @throws {LinuxError} with code ENODEV when one of them does not exist
 * @throws {HostError} when `from` has an ingress qdisc that is not ours
 */
export function redirectIngress({ from, to }: { from: string; to: string }): void {
  using socket = new NetlinkSocket();
  const target = requireLink(socket, to);
  attachIngress(socket, from, (source) =>
    socket.request(
      addRedirectFilter(source.index, target.index, FILTER_PRIORITY),
      `redirect to ${to} what comes in by`,
      from,
    ));
}

/**
 * As `redirectIngress`, but for what sockets of the namespace would take: see `shareProgram`.
 *
 * @param names of two interfaces in the calling thread's network namespace
 * @throws {LinuxError} with code ENODEV when one of them does not exist; with the verifier's output
 *   when the kernel does not know what the program calls (before Linux 5.2)
 * @throws {HostError} when `from` has an ingress qdisc that is not ours
 */
export function shareIngress({ from, to }: { from: string; to: string }): void {
  using socket = new NetlinkSocket();
  const target = requireLink(socket, to);
  const action = `share with ${to} what comes in by`;
  attachProgram(socket, from, {
    instructions: shareProgram(target.index),
    name: SHARE_PROGRAM,
    action,
  });
}

/** What `filterGuest` lets pass, and where to. */
export interface GuestTraffic {
  /** The tap. */
  from: string;
  /** The interface that packets leave by; undefined: the namespace's own stack takes them. */
  to?: string;
  mac: string;
  /** IPv4 and IPv6 addresses, without prefix lengths. */
  addresses: string[];
}

/**
 * Lets out of a tap only what its guest may send, see `filterProgram`, and sends it on.
 *
 * @throws {LinuxError} with code ENODEV when an interface does not exist
 * @throws {HostError} when `from` has an ingress qdisc that is not ours
 */
export function filterGuest({ from, to, mac, addresses }: GuestTraffic): void {
  using socket = new NetlinkSocket();
  const target = to === undefined ? undefined : requireLink(socket, to).index;
  const instructions = filterProgram({ mac, addresses, target });
  const action = "filter what the guest sends by";
  attachProgram(socket, from, { instructions, name: FILTER_PROGRAM, action });
}

function attachProgram(
  socket: NetlinkSocket,
  from: string,
  { instructions, name, action }: {
    instructions: Uint8Array<ArrayBuffer>;
    name: string;
    action: string;
  },
): void {
  const program = bpfProgLoad({ type: BPF_PROG_TYPE_SCHED_CLS, instructions, name });
  try {
    attachIngress(socket, from, (source) =>
      socket.request(
        addProgramFilter(source.index, { program, name, priority: FILTER_PRIORITY }),
        action,
        from,
      ));
  } finally {
    // The filter keeps it.
    close(program);
  }
}

function attachIngress(
  socket: NetlinkSocket,
  name: string,
  addFilter: (source: Link) => void,
): void {
  const source = requireLink(socket, name);
  removeOurs(socket, source);
  socket.request(addIngressQdisc(source.index), "add ingress qdisc to", name);
  try {
    addFilter(source);
  } catch (error) {
    socket.request(deleteIngressQdisc(source.index), "remove ingress qdisc from", name);
    throw error;
  }
}

/**
 * Undoes `redirectIngress`, `shareIngress` and `filterGuest`. Remove the tap first: when that is in use, so is the redirection.
 *
 * @param name of an interface in the calling thread's network namespace
 * @returns whether there was a redirection of ours
 * @throws {LinuxError} when the kernel refuses
 */
export function removeIngress(name: string): boolean {
  using socket = new NetlinkSocket();
  const link = findLink(socket, name);
  const owner = link === undefined ? undefined : ownerOf(socket, link);
  if (link === undefined || typeof owner !== "string") return false;
  socket.request(deleteIngressQdisc(link.index), "remove ingress qdisc from", name);
  return true;
}

function removeOurs(socket: NetlinkSocket, link: Link): void {
  const owner = ownerOf(socket, link);
  if (owner === undefined) return;
  if (typeof owner === "string") {
    socket.request(deleteIngressQdisc(link.index), "remove ingress qdisc from", link.name);
    return;
  }
  throw new HostError({
    operation: "redirect what comes in by",
    subject: link.name,
    reason: `another program filters its incoming packets (${owner.foreign})`,
    remedy: `see them with: tc filter show dev ${link.name} ingress`,
  });
}

function ownerOf(socket: NetlinkSocket, link: Link): IngressOwner | undefined {
  return ingressOwners(socket, [link]).get(link.index);
}

/**
 * Finds who filters what comes in by interfaces of the socket's network namespace.
 *
 * @returns by the index of an interface; interfaces without an ingress qdisc are not in it
 * @throws {LinuxError} when the kernel refuses to list
 */
export function ingressOwners(socket: NetlinkSocket, links: Link[]): Map<number, IngressOwner> {
  const qdiscs = socket.dump(listQdiscs(), "list qdiscs")
    .filter((message) => message.type === RTM_NEWQDISC)
    .map(parseTrafficControl)
    .filter(({ handle }) => handle === TC_H_INGRESS_HANDLE);
  const owners = new Map<number, IngressOwner>();
  for (const link of links) {
    const qdisc = qdiscs.find(({ index }) => index === link.index);
    if (qdisc === undefined) continue;
    const owner = qdisc.kind === "ingress" ? filtersOwner(socket, link) : foreignQdisc(qdisc.kind);
    owners.set(link.index, owner);
  }
  return owners;
}

function foreignQdisc(kind: string): IngressOwner {
  return { foreign: `qdisc ${kind}` };
}

function filtersOwner(socket: NetlinkSocket, link: Link): IngressOwner {
  const filters = socket.dump(listIngressFilters(link.index), "list filters of", link.name)
    .filter((message) => message.type === RTM_NEWTFILTER)
    .map(parseTrafficControl);
  const foreign = filters.find(({ priority }) => priority !== FILTER_PRIORITY);
  if (foreign !== undefined) return { foreign: `${foreign.kind} of priority ${foreign.priority}` };
  return filters.length === 0 ? "nobody" : "ours";
}
