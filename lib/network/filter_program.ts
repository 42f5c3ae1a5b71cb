import {
  BPF_ADD,
  BPF_ALU,
  BPF_B,
  BPF_FUNC_redirect,
  BPF_H,
  BPF_K,
  BPF_LSH,
  BPF_REG_10,
  BPF_W,
} from "../../ffi/linux.ts";
import { assemble, type Instruction, type Label } from "../protocol/bpf/assembler.ts";
import {
  ETH_ALEN,
  ETH_HLEN,
  ETH_P_ARP,
  ETH_P_IP,
  ETH_P_IPV6,
  IPPROTO_DSTOPTS,
  IPPROTO_HOPOPTS,
  IPPROTO_ICMPV6,
  IPPROTO_ROUTING,
  TC_ACT_OK,
  TC_ACT_SHOT,
} from "../protocol/netlink/constants.ts";
import { addressBytes, macBytes } from "../protocol/netlink/ip.ts";
import {
  call,
  compute,
  copy,
  end,
  exit,
  jump,
  jumpIf,
  jumpUnless,
  load,
  networkOrder,
  PACKET,
  PARAMETERS,
  read,
  SCRATCH,
  set,
  TRANSPORT,
  TRANSPORT_REGISTER,
  VLAN_PRESENT,
} from "./packet_program.ts";

/** What a guest may call itself, and where its packets go. */
export interface GuestFilter {
  /** `02:42:0a:58:03:07` */
  mac: string;
  /** IPv4 and IPv6 addresses, without prefix lengths. */
  addresses: string[];
  /** Index of the interface that permitted packets leave by; undefined: the namespace takes them. */
  target?: number;
}

/** On the stack, which is below the frame pointer. */
const FIELD = -16;

/** Labels. */
const DROP = "drop";
const PASS = "pass";

const HEADER_SIZE_IPV6 = 40;
/** Offsets in struct ipv6hdr, struct iphdr and struct arphdr with Ethernet and IPv4 addresses. */
const IPV6_NEXT_HEADER = 6;
const IPV6_SOURCE = 8;
const IPV4_SOURCE = 12;
const ARP_SENDER_MAC = 8;
const ARP_SENDER_ADDRESS = 14;
/** Types of ICMPv6, as netinet/icmp6.h names them (RFC 4861, 4). */
const ND_ROUTER_ADVERT = 134;
const ND_NEIGHBOR_ADVERT = 136;
const ND_REDIRECT = 137;
/** Of the target in a neighbour advertisement (RFC 4861, 4.4). */
const ADVERTISED_TARGET = 8;

/**
 * Assembles the program that lets out of a tap only what a guest with this MAC and these addresses
 * would send, as libvirt's filter `clean-traffic` does:
 *
 * - IPv4, ARP and IPv6 without a VLAN tag, with the guest's MAC as their source, in ARP as the sender
 *   as well;
 * - IPv4 and ARP of the guest's addresses or of 0.0.0.0 (DHCP, probing);
 * - IPv6 of the guest's addresses, of the link-local address that its MAC makes (RFC 4291, appendix A),
 *   or of :: (duplicate address detection); of neighbour discovery neither router advertisements nor
 *   redirects, and advertisements of no other neighbour. Those are looked for behind one extension
 *   header; a second one is dropped. Behind a fragment header every receiver ignores them (RFC 6980).
 *
 * All else is dropped.
 *
 * @returns struct bpf_insn, one after the other, of a BPF_PROG_TYPE_SCHED_CLS
 */
export function filterProgram({ mac, addresses, target }: GuestFilter): Uint8Array<ArrayBuffer> {
  const bytes = macBytes(mac);
  const ipv4 = ["0.0.0.0", ...addresses.filter((it) => !it.includes(":"))].map(addressBytes);
  const own = [linkLocal(bytes), ...addresses.filter((it) => it.includes(":")).map(addressBytes)];
  return assemble([
    copy(PACKET, PARAMETERS[0]!),
    load(SCRATCH, PACKET, VLAN_PRESENT, BPF_W),
    jumpUnless(SCRATCH, 0, DROP),
    ...requireMac(ETH_ALEN, bytes),
    ...read(2 * ETH_ALEN, FIELD, 2, DROP),
    load(SCRATCH, BPF_REG_10, FIELD, BPF_H),
    jumpIf(SCRATCH, networkOrder(ETH_P_IP), "ipv4"),
    jumpIf(SCRATCH, networkOrder(ETH_P_IPV6), "ipv6"),
    jumpUnless(SCRATCH, networkOrder(ETH_P_ARP), DROP),

    ...requireMac(ETH_HLEN + ARP_SENDER_MAC, bytes),
    ...requireOneOf(ETH_HLEN + ARP_SENDER_ADDRESS, ipv4, PASS),

    { label: "ipv4" },
    ...requireOneOf(ETH_HLEN + IPV4_SOURCE, ipv4, PASS),

    { label: "ipv6" },
    ...requireOneOf(ETH_HLEN + IPV6_SOURCE, [new Uint8Array(16), ...own], "next header"),
    { label: "next header" },
    ...read(ETH_HLEN + IPV6_NEXT_HEADER, FIELD, 1, DROP),
    load(SCRATCH, BPF_REG_10, FIELD, BPF_B),
    set(TRANSPORT, ETH_HLEN + HEADER_SIZE_IPV6),
    jumpIf(SCRATCH, IPPROTO_ICMPV6, "icmpv6"),
    ...EXTENSION_HEADERS.map((it) => jumpIf(SCRATCH, it, "extension")),
    jump(PASS),

    // Next header u8, length u8 in units of 8 bytes beyond the first (RFC 8200, 4.2).
    { label: "extension" },
    ...read(ETH_HLEN + HEADER_SIZE_IPV6, FIELD, 2, DROP),
    load(TRANSPORT, BPF_REG_10, FIELD + 1, BPF_B),
    compute(BPF_LSH, TRANSPORT, 3),
    add(TRANSPORT, ETH_HLEN + HEADER_SIZE_IPV6 + 8),
    load(SCRATCH, BPF_REG_10, FIELD, BPF_B),
    ...EXTENSION_HEADERS.map((it) => jumpIf(SCRATCH, it, DROP)),
    jumpUnless(SCRATCH, IPPROTO_ICMPV6, PASS),

    { label: "icmpv6" },
    ...read(TRANSPORT_REGISTER, FIELD, 1, DROP),
    load(SCRATCH, BPF_REG_10, FIELD, BPF_B),
    jumpIf(SCRATCH, ND_ROUTER_ADVERT, DROP),
    jumpIf(SCRATCH, ND_REDIRECT, DROP),
    jumpUnless(SCRATCH, ND_NEIGHBOR_ADVERT, PASS),
    add(TRANSPORT, ADVERTISED_TARGET),
    ...requireOneOf(TRANSPORT_REGISTER, own, PASS),

    { label: PASS },
    ...(target === undefined ? end(TC_ACT_OK) : [
      set(PARAMETERS[0]!, target),
      set(PARAMETERS[1]!, 0),
      call(BPF_FUNC_redirect),
      exit(),
    ]),

    { label: DROP },
    ...end(TC_ACT_SHOT),
  ]);
}

/** Headers that another header follows: what matters may be behind one. */
const EXTENSION_HEADERS = [IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS];

/** Drops a packet that has not this MAC at an offset. */
function requireMac(offset: number, mac: Uint8Array): (Instruction | Label)[] {
  const view = new DataView(mac.buffer, mac.byteOffset, mac.byteLength);
  return [
    ...read(offset, FIELD, ETH_ALEN, DROP),
    load(SCRATCH, BPF_REG_10, FIELD, BPF_W),
    jumpUnless(SCRATCH, view.getInt32(0, true), DROP),
    load(SCRATCH, BPF_REG_10, FIELD + 4, BPF_H),
    jumpUnless(SCRATCH, view.getUint16(4, true), DROP),
  ];
}

/**
 * Drops a packet that has none of these addresses at an offset.
 *
 * @param addresses all of one length, 4 or 16 bytes
 * @param found label for a packet that has one
 */
function requireOneOf(
  offset: number | typeof TRANSPORT_REGISTER,
  addresses: Uint8Array[],
  found: string,
): (Instruction | Label)[] {
  const size = addresses[0]!.length;
  return [
    ...read(offset, FIELD, size, DROP),
    ...addresses.flatMap((address, index): (Instruction | Label)[] => {
      const view = new DataView(address.buffer, address.byteOffset, size);
      const other = `other ${offset} ${index}`;
      const words = Array.from({ length: size / 4 }, (_, word) => 4 * word);
      return [
        ...words.flatMap((at) => [
          load(SCRATCH, BPF_REG_10, FIELD + at, BPF_W),
          jumpUnless(SCRATCH, view.getInt32(at, true), other),
        ]),
        jump(found),
        { label: other },
      ];
    }),
    jump(DROP),
  ];
}

function add(register: number, value: number): Instruction {
  return { code: BPF_ALU | BPF_ADD | BPF_K, destination: register, immediate: value };
}

/** fe80::/64 with the modified EUI-64 of a MAC (RFC 4291, appendix A). */
function linkLocal(mac: Uint8Array): Uint8Array {
  const [a, b, c, d, e, f] = mac as unknown as [number, number, number, number, number, number];
  return Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f);
}
