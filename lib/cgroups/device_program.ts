import {
  BPF_ALU,
  BPF_AND,
  BPF_DEVCG_ACC_MKNOD,
  BPF_DEVCG_ACC_READ,
  BPF_DEVCG_ACC_WRITE,
  BPF_DEVCG_DEV_BLOCK,
  BPF_DEVCG_DEV_CHAR,
  BPF_EXIT,
  BPF_JMP,
  BPF_JMP32,
  BPF_JNE,
  BPF_K,
  BPF_LDX,
  BPF_MEM,
  BPF_MOV,
  BPF_RSH,
  BPF_W,
  BPF_X,
} from "../../ffi/linux.ts";
import { assemble, type Instruction } from "../protocol/bpf/assembler.ts";

/** r0 is the answer, r1 the context (struct bpf_cgroup_dev_ctx, linux/bpf.h); the rest is ours. */
const ANSWER = 0;
const CONTEXT = 1;
const TYPE = 2;
const ACCESS = 3;
const MAJOR = 4;
const MINOR = 5;
const SCRATCH = 6;

const ACCESS_BITS: Record<string, number> = {
  m: BPF_DEVCG_ACC_MKNOD,
  r: BPF_DEVCG_ACC_READ,
  w: BPF_DEVCG_ACC_WRITE,
};

/**
 * Assembles the program that decides for a cgroup2 which devices may be opened: exactly those
 * given, with at most the access given; everything else is refused.
 *
 * @returns struct bpf_insn, one after the other
 * @see kernel Documentation/admin-guide/cgroup-v2.rst, "Device controller";
 *   Documentation/bpf/standardization/instruction-set.rst
 */
export function deviceProgram(allowed: AllowedDevice[]): Uint8Array<ArrayBuffer> {
  return assemble([
    load(TYPE, 0),
    copy(ACCESS, TYPE),
    compute(BPF_RSH, ACCESS, 16),
    compute(BPF_AND, TYPE, 0xffff),
    load(MAJOR, 4),
    load(MINOR, 8),
    ...allowed.flatMap(rule),
    ...answer(0),
  ]);
}

/** Answers yes when the request is about this device and asks for no more than is allowed. */
function rule({ type, major, minor, access }: AllowedDevice): Instruction[] {
  const bits = [...access].reduce((sum, letter) => sum | ACCESS_BITS[letter]!, 0);
  const yes = answer(1);
  const beyond = [copy(SCRATCH, ACCESS), compute(BPF_AND, SCRATCH, ~bits)];
  const tail = 1 + yes.length;
  return [
    skipUnless(
      TYPE,
      type === "char" ? BPF_DEVCG_DEV_CHAR : BPF_DEVCG_DEV_BLOCK,
      2 + beyond.length + tail,
    ),
    skipUnless(MAJOR, major, 1 + beyond.length + tail),
    skipUnless(MINOR, minor, beyond.length + tail),
    ...beyond,
    skipUnless(SCRATCH, 0, yes.length),
    ...yes,
  ];
}

/** A 32-bit field of the context. */
function load(destination: number, offset: number): Instruction {
  return { code: BPF_LDX | BPF_MEM | BPF_W, destination, source: CONTEXT, offset };
}

function copy(destination: number, source: number): Instruction {
  return { code: BPF_ALU | BPF_MOV | BPF_X, destination, source };
}

function compute(operation: number, destination: number, immediate: number): Instruction {
  return { code: BPF_ALU | operation | BPF_K, destination, immediate };
}

function skipUnless(register: number, value: number, instructions: number): Instruction {
  return {
    code: BPF_JMP32 | BPF_JNE | BPF_K,
    destination: register,
    immediate: value,
    offset: instructions,
  };
}

function answer(value: 0 | 1): Instruction[] {
  return [compute(BPF_MOV, ANSWER, value), { code: BPF_JMP | BPF_EXIT }];
}

/** A device that the container's cgroup lets through. */
export interface AllowedDevice {
  type: "char" | "block";
  major: number;
  minor: number;
  /** Of `r`, `w` and `m` (mknod), those that are allowed. */
  access: string;
}
