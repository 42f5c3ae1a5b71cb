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
  if (link === undefined || ingressOwner(socket, link) !== "ours") return false;
  socket.request(deleteIngressQdisc(link.index), "remove ingress qdisc from", name);
  return true;
}

function removeOurs(socket: NetlinkSocket, link: Link): void {
  const owner = ingressOwner(socket, link);
  if (owner === "nobody") return;
  if (owner === "ours") {
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

/** Who attached the ingress qdisc; one without any filter does nothing and counts as ours. */
function ingressOwner(
  socket: NetlinkSocket,
  link: Link,
): "nobody" | "ours" | { foreign: string } {
  const qdisc = socket.dump(listQdiscs(link.index), "list qdiscs of", link.name)
    .filter((message) => message.type === RTM_NEWQDISC)
    .map(parseTrafficControl)
    .find(({ index, handle }) => index === link.index && handle === TC_H_INGRESS_HANDLE);
  if (qdisc === undefined) return "nobody";
  if (qdisc.kind !== "ingress") return { foreign: `qdisc ${qdisc.kind}` };
  const foreign = socket.dump(listIngressFilters(link.index), "list filters of", link.name)
    .filter((message) => message.type === RTM_NEWTFILTER)
    .map(parseTrafficControl)
    .find(({ priority }) => priority !== FILTER_PRIORITY);
  return foreign ? { foreign: `${foreign.kind} of priority ${foreign.priority}` } : "ours";
}
