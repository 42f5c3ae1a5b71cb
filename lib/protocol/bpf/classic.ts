/** struct sock_filter: code u16, jump if true u8, jump if false u8, operand u32. Bytes. */
const INSTRUCTION_SIZE = 8;

/** Of `jt` and `jf`. */
export const LONGEST_JUMP = 0xff;

/** BPF_LD | BPF_W | BPF_ABS, and so on: linux/bpf_common.h. */
const LOAD_WORD = 0x20;
const AND = 0x54;
const JUMP = 0x05;
const JUMP_IF_EQUAL = 0x15;
const JUMP_IF_AT_LEAST = 0x35;
const RETURN = 0x06;

/** One instruction of a classic BPF program, which has one register, the accumulator. */
export interface ClassicInstruction {
  code: number;
  /** The operand, 32 bits unsigned. */
  k: number;
  /** How many instructions after the next one are passed over when a comparison holds. */
  jt: number;
  /** The same when it does not hold. */
  jf: number;
}

/** Instructions that end with a return on every path, so that they can be put anywhere. */
export type Code = readonly ClassicInstruction[];

/** Loads 32 bits of what is filtered, at this offset in bytes. */
export function loadWord(offset: number): ClassicInstruction {
  return { code: LOAD_WORD, k: offset, jt: 0, jf: 0 };
}

/** Keeps these bits of the accumulator. */
export function and(mask: number): ClassicInstruction {
  return { code: AND, k: mask >>> 0, jt: 0, jf: 0 };
}

/** Ends the program with this result. */
export function answer(value: number): ClassicInstruction {
  return { code: RETURN, k: value >>> 0, jt: 0, jf: 0 };
}

/** Goes on with `then` when the accumulator equals the value, else with `otherwise`. */
export function ifEqual(value: number, then: Code, otherwise: Code): Code {
  return branch(JUMP_IF_EQUAL, value, then, otherwise);
}

/** Goes on with `then` when the accumulator, unsigned, is the value or more, else with `otherwise`. */
export function ifAtLeast(value: number, then: Code, otherwise: Code): Code {
  return branch(JUMP_IF_AT_LEAST, value, then, otherwise);
}

/** Passes over so many instructions when the accumulator equals the value, or does not. */
export function jumpIfEqual(value: number, jt: number, jf: number): ClassicInstruction {
  return { code: JUMP_IF_EQUAL, k: value >>> 0, jt, jf };
}

/** The same when it, unsigned, is the value or more. */
export function jumpIfAtLeast(value: number, jt: number, jf: number): ClassicInstruction {
  return { code: JUMP_IF_AT_LEAST, k: value >>> 0, jt, jf };
}

/** `otherwise` comes first; when it is too long for a short jump, a long one passes over it. */
function branch(code: number, value: number, then: Code, otherwise: Code): Code {
  const k = value >>> 0;
  const { length } = otherwise;
  if (length <= LONGEST_JUMP) return [{ code, k, jt: length, jf: 0 }, ...otherwise, ...then];
  const over = { code: JUMP, k: length, jt: 0, jf: 0 };
  return [{ code, k, jt: 0, jf: 1 }, over, ...otherwise, ...then];
}

/**
 * Lays out a program.
 *
 * @returns struct sock_filter, one after the other
 * @see linux/filter.h; Documentation/networking/filter.rst of Linux
 */
export function encodeClassic(program: Code): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(program.length * INSTRUCTION_SIZE);
  const view = new DataView(bytes.buffer);
  program.forEach(({ code, k, jt, jf }, index) => {
    const at = index * INSTRUCTION_SIZE;
    view.setUint16(at, code, true);
    view.setUint8(at + 2, jt);
    view.setUint8(at + 3, jf);
    view.setUint32(at + 4, k, true);
  });
  return bytes;
}
