import {
  BPF_ADD,
  BPF_ALU,
  BPF_ALU64,
  BPF_AND,
  BPF_B,
  BPF_CALL,
  BPF_EXIT,
  BPF_F_CURRENT_NETNS,
  BPF_FUNC_clone_redirect,
  BPF_FUNC_redirect,
  BPF_FUNC_sk_lookup_udp,
  BPF_FUNC_sk_release,
  BPF_FUNC_skb_load_bytes,
  BPF_FUNC_skc_lookup_tcp,
  BPF_H,
  BPF_JA,
  BPF_JEQ,
  BPF_JMP,
  BPF_JMP32,
  BPF_JNE,
  BPF_K,
  BPF_LDX,
  BPF_LSH,
  BPF_MEM,
  BPF_MOV,
  BPF_REG_10,
  BPF_W,
  BPF_X,
} from "../../ffi/linux.ts";
import { assemble, type Instruction, type Label } from "../protocol/bpf/assembler.ts";
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

/** r0 to r5 are a call's result and parameters, and lost by it; r6 to r9 are kept. */
const RESULT = 0;
const PARAMETERS = [1, 2, 3, 4, 5];
const SCRATCH = 2;
/** struct __sk_buff. */
const PACKET = 6;
/** Where the header of TCP, UDP or ICMP begins, counted from the Ethernet header. Bytes. */
const TRANSPORT = 7;
const PROTOCOL = 8;
/** Of the addresses and ports: they differ by the family. Bytes. */
const TUPLE_SIZE = 9;

/** On the stack, which is below the frame pointer: struct bpf_sock_tuple, then part of a header. */
const TUPLE = -40;
const HEADER = -56;

/** Fields of struct __sk_buff (linux/bpf.h). */
const PKT_TYPE = 4;
const SKB_PROTOCOL = 16;
const VLAN_PRESENT = 20;

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
    ...read(ETH_HLEN, HEADER, 12),
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
    ...read(ETH_HLEN + 12, TUPLE, 8),
    ...read(TRANSPORT_REGISTER, TUPLE + 8, 4),
    set(TUPLE_SIZE, 12),
    jump("lookup"),

    // struct ipv6hdr: next header at 6, addresses at 8. One with extension headers is the guest's.
    { label: "ipv6" },
    ...read(ETH_HLEN, HEADER, 8),
    load(PROTOCOL, BPF_REG_10, HEADER + 6, BPF_B),
    jumpIf(PROTOCOL, IPPROTO_ICMPV6, "icmpv6"),
    ...read(ETH_HLEN + 8, TUPLE, 32),
    ...read(ETH_HLEN + 40, TUPLE + 32, 4),
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
    ...read(TRANSPORT_REGISTER, HEADER, 1),
    load(SCRATCH, BPF_REG_10, HEADER, BPF_B),
    ...[ICMP_ECHOREPLY, ICMP_DEST_UNREACH, ICMP_TIME_EXCEEDED, ICMP_PARAMETERPROB]
      .map((type) => jumpIf(SCRATCH, type, "both")),
    jump("guest"),

    { label: "icmpv6" },
    ...read(ETH_HLEN + 40, HEADER, 1),
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

/** In place of a number of bytes: what the register TRANSPORT holds. */
const TRANSPORT_REGISTER = "transport";

/** Copies a part of the packet to the stack; a packet that has no such part is the guest's. */
function read(
  from: number | typeof TRANSPORT_REGISTER,
  to: number,
  size: number,
): (Instruction | Label)[] {
  const [packet, offset, memory, length] = PARAMETERS as [number, number, number, number];
  return [
    copy(packet, PACKET),
    from === TRANSPORT_REGISTER ? copy(offset, TRANSPORT) : set(offset, from),
    ...addressOnStack(memory, to),
    set(length, size),
    call(BPF_FUNC_skb_load_bytes),
    jumpUnless(RESULT, 0, "guest"),
  ];
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

function addressOnStack(register: number, offset: number): Instruction[] {
  return [
    copy(register, BPF_REG_10),
    { code: BPF_ALU64 | BPF_ADD | BPF_K, destination: register, immediate: offset },
  ];
}

/** A number of 16 bits as the kernel hands it over, on a little-endian machine. */
function networkOrder(value: number): number {
  return (value & 0xff) << 8 | value >> 8;
}

function load(destination: number, source: number, offset: number, size: number): Instruction {
  return { code: BPF_LDX | BPF_MEM | size, destination, source, offset };
}

function copy(destination: number, source: number): Instruction {
  return { code: BPF_ALU64 | BPF_MOV | BPF_X, destination, source };
}

function set(destination: number, immediate: number): Instruction {
  return { code: BPF_ALU64 | BPF_MOV | BPF_K, destination, immediate };
}

function compute(operation: number, destination: number, immediate: number): Instruction {
  return { code: BPF_ALU | operation | BPF_K, destination, immediate };
}

function jump(to: string): Instruction {
  return { code: BPF_JMP | BPF_JA, to };
}

function jumpIf(register: number, value: number, to: string): Instruction {
  return { code: BPF_JMP32 | BPF_JEQ | BPF_K, destination: register, immediate: value, to };
}

function jumpUnless(register: number, value: number, to: string): Instruction {
  return { code: BPF_JMP32 | BPF_JNE | BPF_K, destination: register, immediate: value, to };
}

function call(helper: number): Instruction {
  return { code: BPF_JMP | BPF_CALL, immediate: helper };
}

function exit(): Instruction {
  return { code: BPF_JMP | BPF_EXIT };
}

function end(result: number): Instruction[] {
  return [set(RESULT, result), exit()];
}
