/** struct bpf_insn: code u8, registers u8, offset s16, immediate s32. Bytes. */
const INSTRUCTION_SIZE = 8;

/** One instruction; what is left out is 0. */
export interface Instruction {
  code: number;
  destination?: number;
  source?: number;
  /** Of memory, in bytes; of a jump, in instructions after the next one. */
  offset?: number;
  immediate?: number;
  /** In place of a jump's offset: the label that it goes to, which must be further on. */
  to?: string;
}

/** The place that jumps go to. */
export interface Label {
  label: string;
}

/**
 * Lays out a program.
 *
 * @returns struct bpf_insn, one after the other
 * @throws {TypeError} when a label is missing, or not further on: the kernel takes no loops
 * @see kernel Documentation/bpf/standardization/instruction-set.rst
 */
export function assemble(lines: (Instruction | Label)[]): Uint8Array<ArrayBuffer> {
  const instructions: Instruction[] = [];
  const labels = new Map<string, number>();
  for (const line of lines) {
    if ("label" in line) labels.set(line.label, instructions.length);
    else instructions.push(line);
  }
  const bytes = new Uint8Array(new ArrayBuffer(instructions.length * INSTRUCTION_SIZE));
  const view = new DataView(bytes.buffer);
  instructions.forEach((instruction, index) => {
    const { code, destination = 0, source = 0, immediate = 0, to } = instruction;
    const offset = to === undefined ? instruction.offset ?? 0 : distance(labels, to, index);
    const at = index * INSTRUCTION_SIZE;
    view.setUint8(at, code);
    view.setUint8(at + 1, source << 4 | destination);
    view.setInt16(at + 2, offset, true);
    view.setInt32(at + 4, immediate, true);
  });
  return bytes;
}

function distance(labels: Map<string, number>, to: string, from: number): number {
  const target = labels.get(to);
  if (target === undefined || target <= from) throw new TypeError(`no label ${to} is further on`);
  return target - from - 1;
}
