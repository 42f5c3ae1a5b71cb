import {
  ETH_P_ALL,
  NLM_F_CREATE,
  NLM_F_EXCL,
  RTM_DELQDISC,
  RTM_GETQDISC,
  RTM_GETTFILTER,
  RTM_NEWQDISC,
  RTM_NEWTFILTER,
  TC_ACT_STOLEN,
  TC_H_INGRESS,
  TC_H_INGRESS_HANDLE,
  TC_U32_TERMINAL,
  TCA_ACT_KIND,
  TCA_ACT_OPTIONS,
  TCA_BPF_FD,
  TCA_BPF_FLAG_ACT_DIRECT,
  TCA_BPF_FLAGS,
  TCA_BPF_NAME,
  TCA_EGRESS_REDIR,
  TCA_KIND,
  TCA_MIRRED_PARMS,
  TCA_OPTIONS,
  TCA_U32_ACT,
  TCA_U32_SEL,
} from "./constants.ts";
import {
  type Attribute,
  cString,
  decodeAttributes,
  type NetlinkMessage,
  textOf,
  u32,
  viewOf,
} from "./message.ts";
import type { Request } from "./request.ts";

/** Size of `struct tcmsg` in bytes (linux/rtnetlink.h). */
const TCMSG_SIZE = 20;

/** A queueing discipline or a filter, as far as we look at it. */
export interface TrafficControl {
  /** Index of the interface that it is attached to. */
  index: number;
  /** `major << 16 | minor`. */
  handle: number;
  parent: number;
  /** `ingress`, `clsact`, `u32`, `bpf`; empty when the kernel does not say. */
  kind: string;
  /** Of a filter: 1 to 65535, lower is asked first. */
  priority: number;
}

/** Lays out `struct tcmsg`: u8 family, 3 bytes pad, i32 ifindex, u32 handle, parent, info. */
function tcmsg(fields: { index: number; handle?: number; parent?: number; info?: number }) {
  const bytes = new Uint8Array(TCMSG_SIZE);
  const view = viewOf(bytes);
  view.setInt32(4, fields.index, true);
  view.setUint32(8, fields.handle ?? 0, true);
  view.setUint32(12, fields.parent ?? 0, true);
  view.setUint32(16, fields.info ?? 0, true);
  return bytes;
}

/** Attaches an ingress qdisc; EEXIST when the interface has one. */
export function addIngressQdisc(index: number): Request {
  return {
    type: RTM_NEWQDISC,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload: tcmsg({ index, handle: TC_H_INGRESS_HANDLE, parent: TC_H_INGRESS }),
    attributes: [{ type: TCA_KIND, value: cString("ingress") }],
  };
}

/** Removes the ingress qdisc with all its filters. */
export function deleteIngressQdisc(index: number): Request {
  return {
    type: RTM_DELQDISC,
    payload: tcmsg({ index, handle: TC_H_INGRESS_HANDLE, parent: TC_H_INGRESS }),
  };
}

/** Asks for the qdiscs of every interface (send as a dump; kernels do not heed an index). */
export function listQdiscs(): Request {
  return { type: RTM_GETQDISC, payload: tcmsg({ index: 0 }) };
}

/** Asks for the filters of an interface's ingress qdisc (send as a dump). */
export function listIngressFilters(index: number): Request {
  return { type: RTM_GETTFILTER, payload: tcmsg({ index, parent: TC_H_INGRESS_HANDLE }) };
}

/**
 * Sends every packet that comes in by one interface out of another.
 *
 * The classifier is u32 with a single key whose mask is 0, because that is the one that every
 * kernel has: matchall is often not built.
 *
 * @param from index of the interface with the ingress qdisc
 * @param to index of the interface that the packets leave by
 * @param priority of the filter, 1 to 65535
 */
export function addRedirectFilter(from: number, to: number, priority: number): Request {
  const action = [
    { type: TCA_ACT_KIND, value: cString("mirred") },
    { type: TCA_ACT_OPTIONS, value: [{ type: TCA_MIRRED_PARMS, value: mirred(to) }] },
  ];
  return addFilter(from, priority, "u32", [
    { type: TCA_U32_SEL, value: matchAll() },
    // Actions are numbered in the order they run, from 1 (TCA_ACT_MAX_PRIO).
    { type: TCA_U32_ACT, value: [{ type: 1, value: action }] },
  ]);
}

/**
 * Has a program decide about every packet that comes in by an interface.
 *
 * @param index of the interface with the ingress qdisc
 * @param program descriptor of a BPF_PROG_TYPE_SCHED_CLS whose result is the action
 * @param name by which tc(8) shows it
 * @param priority of the filter, 1 to 65535
 */
export function addProgramFilter(
  index: number,
  { program, name, priority }: { program: number; name: string; priority: number },
): Request {
  return addFilter(index, priority, "bpf", [
    { type: TCA_BPF_FD, value: u32(program) },
    { type: TCA_BPF_NAME, value: cString(name) },
    { type: TCA_BPF_FLAGS, value: u32(TCA_BPF_FLAG_ACT_DIRECT) },
  ]);
}

function addFilter(index: number, priority: number, kind: string, options: Attribute[]): Request {
  // The protocol stands in network byte order in the lower half.
  const protocol = ((ETH_P_ALL & 0xff) << 8) | (ETH_P_ALL >> 8);
  return {
    type: RTM_NEWTFILTER,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload: tcmsg({
      index,
      parent: TC_H_INGRESS_HANDLE,
      info: priority * 0x10000 + protocol,
    }),
    attributes: [
      { type: TCA_KIND, value: cString(kind) },
      { type: TCA_OPTIONS, value: options },
    ],
  };
}

/**
 * struct tc_u32_sel: u8 flags, offshift, nkeys, pad; be16 offmask, u16 off, i16 offoff, hoff;
 * be32 hmask; then struct tc_u32_key: be32 mask, val; i32 off, offmask (linux/pkt_cls.h). A key
 * that is all zero matches anything.
 */
function matchAll(): Uint8Array {
  const bytes = new Uint8Array(16 + 16);
  bytes[0] = TC_U32_TERMINAL;
  bytes[2] = 1;
  return bytes;
}

/**
 * struct tc_mirred: tc_gen {u32 index, capab; i32 action, refcnt, bindcnt}, i32 eaction, u32
 * ifindex (linux/tc_act/tc_mirred.h). Index 0: the kernel numbers the action.
 */
function mirred(to: number): Uint8Array {
  const bytes = new Uint8Array(28);
  const view = viewOf(bytes);
  view.setInt32(8, TC_ACT_STOLEN, true);
  view.setInt32(20, TCA_EGRESS_REDIR, true);
  view.setUint32(24, to, true);
  return bytes;
}

/**
 * @param message an RTM_NEWQDISC or RTM_NEWTFILTER
 * @throws {HostError} when it is malformed
 */
export function parseTrafficControl(message: NetlinkMessage): TrafficControl {
  const { payload } = message;
  const attributes = decodeAttributes(payload, TCMSG_SIZE);
  const view = viewOf(payload);
  return {
    index: view.getInt32(4, true),
    handle: view.getUint32(8, true),
    parent: view.getUint32(12, true),
    kind: textOf(attributes.get(TCA_KIND) ?? new Uint8Array()),
    priority: view.getUint16(18, true),
  };
}
