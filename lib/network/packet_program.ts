/** Parts of BPF programs that look at packets, as a classifier of tc sees them (struct __sk_buff). */
import {
  BPF_ADD,
  BPF_ALU,
  BPF_ALU64,
  BPF_CALL,
  BPF_EXIT,
  BPF_FUNC_skb_load_bytes,
  BPF_JA,
  BPF_JEQ,
  BPF_JMP,
  BPF_JMP32,
  BPF_JNE,
  BPF_K,
  BPF_LDX,
  BPF_MEM,
  BPF_MOV,
  BPF_REG_10,
  BPF_X,
} from "../../ffi/linux.ts";
import type { Instruction, Label } from "../protocol/bpf/assembler.ts";

/** r0 to r5 are a call's result and parameters, and lost by it; r6 to r9 are kept. */
export const RESULT = 0;
export const PARAMETERS = [1, 2, 3, 4, 5];
export const SCRATCH = 2;
/** struct __sk_buff. */
export const PACKET = 6;
/** Where the header of TCP, UDP or ICMP begins, counted from the Ethernet header. Bytes. */
export const TRANSPORT = 7;

/** Fields of struct __sk_buff (linux/bpf.h). */
export const VLAN_PRESENT = 20;

/** In place of a number of bytes: what the register TRANSPORT holds. */
export const TRANSPORT_REGISTER = "transport";

/**
 * Copies a part of the packet to the stack.
 *
 * @param from offset in the packet, bytes
 * @param to offset from the frame pointer, below 0
 * @param size bytes
 * @param missing label for a packet that has no such part
 */
export function read(
  from: number | typeof TRANSPORT_REGISTER,
  to: number,
  size: number,
  missing: string,
): (Instruction | Label)[] {
  const [packet, offset, memory, length] = PARAMETERS as [number, number, number, number];
  return [
    copy(packet, PACKET),
    from === TRANSPORT_REGISTER ? copy(offset, TRANSPORT) : set(offset, from),
    ...addressOnStack(memory, to),
    set(length, size),
    call(BPF_FUNC_skb_load_bytes),
    jumpUnless(RESULT, 0, missing),
  ];
}

export function addressOnStack(register: number, offset: number): Instruction[] {
  return [
    copy(register, BPF_REG_10),
    { code: BPF_ALU64 | BPF_ADD | BPF_K, destination: register, immediate: offset },
  ];
}

/** A number of 16 bits as the kernel hands it over, on a little-endian machine. */
export function networkOrder(value: number): number {
  return (value & 0xff) << 8 | value >> 8;
}

export function load(
  destination: number,
  source: number,
  offset: number,
  size: number,
): Instruction {
  return { code: BPF_LDX | BPF_MEM | size, destination, source, offset };
}

export function copy(destination: number, source: number): Instruction {
  return { code: BPF_ALU64 | BPF_MOV | BPF_X, destination, source };
}

export function set(destination: number, immediate: number): Instruction {
  return { code: BPF_ALU64 | BPF_MOV | BPF_K, destination, immediate };
}

export function compute(operation: number, destination: number, immediate: number): Instruction {
  return { code: BPF_ALU | operation | BPF_K, destination, immediate };
}

export function jump(to: string): Instruction {
  return { code: BPF_JMP | BPF_JA, to };
}

export function jumpIf(register: number, value: number, to: string): Instruction {
  return { code: BPF_JMP32 | BPF_JEQ | BPF_K, destination: register, immediate: value, to };
}

export function jumpUnless(register: number, value: number, to: string): Instruction {
  return { code: BPF_JMP32 | BPF_JNE | BPF_K, destination: register, immediate: value, to };
}

export function call(helper: number): Instruction {
  return { code: BPF_JMP | BPF_CALL, immediate: helper };
}

export function exit(): Instruction {
  return { code: BPF_JMP | BPF_EXIT };
}

export function end(result: number): Instruction[] {
  return [set(RESULT, result), exit()];
}
