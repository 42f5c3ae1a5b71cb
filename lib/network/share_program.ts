import {
  BPF_ADD,
  BPF_AND,
  BPF_B,
  BPF_F_CURRENT_NETNS,
  BPF_FUNC_clone_redirect,
  BPF_FUNC_redirect,
  BPF_FUNC_sk_lookup_udp,
  BPF_FUNC_sk_release,
  BPF_FUNC_skc_lookup_tcp,
  BPF_H,
  BPF_JEQ,
  BPF_JMP,
  BPF_K,
  BPF_LSH,
  BPF_REG_10,
  BPF_W,
} from "../../ffi/linux.ts";
import { assemble, type Instruction } from "../protocol/bpf/assembler.ts";
import {
  ETH_HLEN,
  ETH_P_ARP,
  ETH_P_IP,
  ETH_P_IPV6,
  ICMP_DEST_UNREACH,
  ICMP_ECHOREPLY,
  ICMP_PARAMETERPROB,
  ICMP_TIME_EXCEEDED,
  ICMPV6_ECHO_REQUEST,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  PACKET_HOST,
  TC_ACT_OK,
} from "../protocol/netlink/constants.ts";
import {
  addressOnStack,
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
  RESULT,
  SCRATCH,
  set,
  TRANSPORT,
  TRANSPORT_REGISTER,
  VLAN_PRESENT,
} from "./packet_program.ts";

const PROTOCOL = 8;
/** Of the addresses and ports: they differ by the family. Bytes. */
const TUPLE_SIZE = 9;

/** On the stack, which is below the frame pointer: struct bpf_sock_tuple, then part of a header. */
const TUPLE = -40;
const HEADER = -56;

/** Fields of struct __sk_buff (linux/bpf.h). */
const PKT_TYPE = 4;
const SKB_PROTOCOL = 16;

/**
 * Assembles the program that shares an interface between a guest and the namespace's own sockets: the
 * other containers of a pod. For every packet that comes in:
 *
 * - TCP and UDP that a socket of the namespace would take (it is connected so, or it listens there)
 *   go on to the namespace; all others to the guest;
 * - what both need to hear they both get: broadcast and multicast, ARP, neighbours and routers of
 *   IPv6, errors about what they have sent, answers to pings;
 * - everything else, fragments among it (they have no ports to look at), is the guest's.
 *
 * The guest never sees what is for a sidecar, and the namespace never refuses what is for the guest.
 * Neither knows of the other's ports. Two that by chance take the same one, of tens of thousands, to
 * speak to the same peer are not told apart, as behind any address that is shared.
 *
 * @param target index of the interface that the guest listens on
 * @returns struct bpf_insn, one after the other, of a BPF_PROG_TYPE_SCHED_CLS
 * @see bpf-helpers(7): bpf_skc_lookup_tcp, bpf_sk_lookup_udp
 */
export function shareProgram(target: number): Uint8Array<ArrayBuffer> {
  return assemble([
    copy(PACKET, PARAMETERS[0]!),
    load(SCRATCH, PACKET, VLAN_PRESENT, BPF_W),
    jumpUnless(SCRATCH, 0, "guest"),
    load(SCRATCH, PACKET, PKT_TYPE, BPF_W),
    jumpUnless(SCRATCH, PACKET_HOST, "both"),
    load(SCRATCH, PACKET, SKB_PROTOCOL, BPF_W),
    jumpIf(SCRATCH, networkOrder(ETH_P_ARP), "both"),
    jumpIf(SCRATCH, networkOrder(ETH_P_IPV6), "ipv6"),
    jumpUnless(SCRATCH, networkOrder(ETH_P_IP), "guest"),

    // struct iphdr: version and length u8, …, fragment at 6, protocol at 9, addresses at 12.
    ...read(ETH_HLEN, HEADER, 12, "guest"),
    load(SCRATCH, BPF_REG_10, HEADER + 6, BPF_H),
    // "More fragments", and the offset.
    compute(BPF_AND, SCRATCH, networkOrder(0x3fff)),
    jumpUnless(SCRATCH, 0, "guest"),
    load(PROTOCOL, BPF_REG_10, HEADER + 9, BPF_B),
    load(TRANSPORT, BPF_REG_10, HEADER, BPF_B),
    compute(BPF_AND, TRANSPORT, 0x0f),
    compute(BPF_LSH, TRANSPORT, 2),
    compute(BPF_ADD, TRANSPORT, ETH_HLEN),
    jumpIf(PROTOCOL, IPPROTO_ICMP, "icmp"),
    ...read(ETH_HLEN + 12, TUPLE, 8, "guest"),
    ...read(TRANSPORT_REGISTER, TUPLE + 8, 4, "guest"),
    set(TUPLE_SIZE, 12),
    jump("lookup"),

    // struct ipv6hdr: next header at 6, addresses at 8. One with extension headers is the guest's.
    { label: "ipv6" },
    ...read(ETH_HLEN, HEADER, 8, "guest"),
    load(PROTOCOL, BPF_REG_10, HEADER + 6, BPF_B),
    jumpIf(PROTOCOL, IPPROTO_ICMPV6, "icmpv6"),
    ...read(ETH_HLEN + 8, TUPLE, 32, "guest"),
    ...read(ETH_HLEN + 40, TUPLE + 32, 4, "guest"),
    set(TUPLE_SIZE, 36),

    { label: "lookup" },
    jumpIf(PROTOCOL, IPPROTO_UDP, "udp"),
    jumpUnless(PROTOCOL, IPPROTO_TCP, "guest"),
    ...lookUp(BPF_FUNC_skc_lookup_tcp),
    jump("found"),
    { label: "udp" },
    ...lookUp(BPF_FUNC_sk_lookup_udp),
    { label: "found" },
    { ...jumpIf(RESULT, 0, "guest"), code: BPF_JMP | BPF_JEQ | BPF_K },
    copy(PARAMETERS[0]!, RESULT),
    call(BPF_FUNC_sk_release),
    ...end(TC_ACT_OK),

    { label: "icmp" },
    ...read(TRANSPORT_REGISTER, HEADER, 1, "guest"),
    load(SCRATCH, BPF_REG_10, HEADER, BPF_B),
    ...[ICMP_ECHOREPLY, ICMP_DEST_UNREACH, ICMP_TIME_EXCEEDED, ICMP_PARAMETERPROB]
      .map((type) => jumpIf(SCRATCH, type, "both")),
    jump("guest"),

    { label: "icmpv6" },
    ...read(ETH_HLEN + 40, HEADER, 1, "guest"),
    load(SCRATCH, BPF_REG_10, HEADER, BPF_B),
    jumpIf(SCRATCH, ICMPV6_ECHO_REQUEST, "guest"),

    { label: "both" },
    copy(PARAMETERS[0]!, PACKET),
    set(PARAMETERS[1]!, target),
    set(PARAMETERS[2]!, 0),
    call(BPF_FUNC_clone_redirect),
    ...end(TC_ACT_OK),

    { label: "guest" },
    set(PARAMETERS[0]!, target),
    set(PARAMETERS[1]!, 0),
    call(BPF_FUNC_redirect),
    exit(),
  ]);
}

/** A socket of the interface's namespace with the tuple on the stack; it must be released. */
function lookUp(helper: number): Instruction[] {
  const [packet, tuple, size, namespace, flags] = PARAMETERS as [
    number,
    number,
    number,
    number,
    number,
  ];
  return [
    copy(packet, PACKET),
    ...addressOnStack(tuple, TUPLE),
    copy(size, TUPLE_SIZE),
    set(namespace, BPF_F_CURRENT_NETNS),
    set(flags, 0),
    call(helper),
  ];
}
