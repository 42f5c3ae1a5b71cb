/** The kernel's part of seccomp: runs a filter on a system call. */
import { callNumber } from "../../lib/seccomp/calls.ts";

/** A system call, as struct seccomp_data (linux/seccomp.h) has it. */
export interface Call {
  nr: number;
  /** AUDIT_ARCH_X86_64 by default. */
  arch?: number;
  /** 0 where there is none. */
  args?: (number | bigint)[];
}

const AUDIT_ARCH_X86_64 = 0xc000003e;
const RESULTS: Record<number, string> = {
  0x7fff0000: "allow",
  0x7ffc0000: "log",
  0x80000000: "kill",
  0x00050000: "omitted",
  0x00050001: "EPERM",
  0x00050026: "ENOSYS",
};

/**
 * What a filter says of a call: `allow`, `log`, `kill`, `EPERM`, `ENOSYS`, or `omitted`: 0, and nothing is done.
 *
 * Throws where the kernel would refuse the program: another instruction, a jump or an end outside of it,
 * too many instructions.
 */
export function decide(program: Uint8Array, call: Call): string {
  const result = resultOf(program, call);
  const name = RESULTS[result];
  if (name === undefined) throw new Error(`result ${result.toString(16)}`);
  return name;
}

/** The same as the number that the program returns. */
export function resultOf(program: Uint8Array, call: Call): number {
  const { nr, arch = AUDIT_ARCH_X86_64, args = [] } = call;
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, nr, true);
  data.setUint32(4, arch, true);
  args.forEach((value, index) => data.setBigUint64(16 + 8 * index, BigInt(value), true));
  return run(new DataView(program.buffer, program.byteOffset, program.byteLength), data);
}

/** {@linkcode decide} of a call by its name. */
export function decideNamed(
  program: Uint8Array,
  name: string,
  ...args: (number | bigint)[]
): string {
  return decide(program, { nr: callNumber(name), args });
}

function run(program: DataView, data: DataView): number {
  const count = program.byteLength / 8;
  // BPF_MAXINSNS, linux/bpf_common.h.
  if (count > 4096) throw new Error(`${count} instructions`);
  let accumulator = 0;
  for (let at = 0; at < count; at++) {
    const code = program.getUint16(at * 8, true);
    const k = program.getUint32(at * 8 + 4, true);
    const jump = (holds: boolean) => {
      at += program.getUint8(at * 8 + (holds ? 2 : 3));
    };
    switch (code) {
      case 0x20:
        // seccomp_check_filter(): words of the structure, aligned.
        if (k % 4 !== 0 || k >= 64) throw new Error(`load at ${k}`);
        accumulator = data.getUint32(k, true);
        break;
      case 0x54:
        accumulator = (accumulator & k) >>> 0;
        break;
      case 0x05:
        at += k;
        break;
      case 0x15:
        jump(accumulator === k);
        break;
      case 0x35:
        jump(accumulator >= k);
        break;
      case 0x06:
        return k;
      default:
        throw new Error(`instruction ${code}`);
    }
  }
  throw new Error("the program runs beyond its last instruction");
}
