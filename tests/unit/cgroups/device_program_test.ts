import assert from "node:assert/strict";
import { deviceProgram } from "../../../lib/cgroups/device_program.ts";
import type { AllowedDevice } from "../../../lib/cgroups/device_program.ts";

const KVM: AllowedDevice = { type: "char", major: 10, minor: 232, access: "rw" };

/** Instructions as the kernel's own tools print them: only those that our programs consist of. */
function disassemble(bytes: Uint8Array<ArrayBuffer>): string[] {
  const view = new DataView(bytes.buffer);
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 8) {
    const registers = view.getUint8(at + 1);
    const [to, from] = [registers & 15, registers >> 4];
    const offset = view.getInt16(at + 2, true);
    const immediate = view.getInt32(at + 4, true);
    const forms: Record<number, string> = {
      0x61: `r${to} = *(u32 *)(r${from} + ${offset})`,
      0xbc: `w${to} = w${from}`,
      0xb4: `w${to} = ${immediate}`,
      0x54: `w${to} &= ${immediate}`,
      0x74: `w${to} >>= ${immediate}`,
      0x56: `if w${to} != ${immediate} goto ${at / 8 + 1 + offset}`,
      0x95: "exit",
    };
    const code = view.getUint8(at);
    lines.push(forms[code] ?? `unknown 0x${code.toString(16)}`);
  }
  return lines;
}

const PROLOGUE = [
  "r2 = *(u32 *)(r1 + 0)",
  "w3 = w2",
  "w3 >>= 16",
  "w2 &= 65535",
  "r4 = *(u32 *)(r1 + 4)",
  "r5 = *(u32 *)(r1 + 8)",
];
const REFUSE = ["w0 = 0", "exit"];

Deno.test("without devices everything is refused", () => {
  assert.deepEqual(disassemble(deviceProgram([])), [...PROLOGUE, ...REFUSE]);
});

Deno.test("a device: its type, its numbers, and no more access than is allowed", () => {
  assert.deepEqual(disassemble(deviceProgram([KVM])), [
    ...PROLOGUE,
    "if w2 != 2 goto 14",
    "if w4 != 10 goto 14",
    "if w5 != 232 goto 14",
    "w6 = w3",
    "w6 &= -7",
    "if w6 != 0 goto 14",
    "w0 = 1",
    "exit",
    ...REFUSE,
  ]);
});

/** What the program answers: its instructions carried out one by one. */
function run(
  program: string[],
  request: { type: number; access: number; major: number; minor: number },
): number {
  const registers = new Int32Array(11);
  const context = [request.access << 16 | request.type, request.major, request.minor];
  for (let at = 0; at < program.length; at++) {
    const line = program[at]!;
    const [, to, operator, operand] = /^[rw](\d+) (=|&=|>>=) (.*)$/.exec(line) ?? [];
    const jump = /^if w(\d+) != (-?\d+) goto (\d+)$/.exec(line);
    if (line === "exit") return registers[0]!;
    if (jump !== null) {
      if (registers[Number(jump[1])] !== Number(jump[2])) at = Number(jump[3]) - 1;
      continue;
    }
    const field = /\(r1 \+ (\d+)\)$/.exec(operand!);
    const value = field !== null
      ? context[Number(field[1]) / 4]!
      : operand!.startsWith("w")
      ? registers[Number(operand!.slice(1))]!
      : Number(operand);
    const target = Number(to);
    if (operator === "=") registers[target] = value;
    if (operator === "&=") registers[target]! &= value;
    if (operator === ">>=") registers[target] = registers[target]! >>> value;
  }
  throw new Error("the program has no end");
}

Deno.test("exactly the devices given are let through, with the access given", () => {
  const allowed: AllowedDevice[] = [
    KVM,
    { type: "char", major: 10, minor: 200, access: "r" },
    { type: "block", major: 7, minor: 1048575, access: "rwm" },
  ];
  const program = disassemble(deviceProgram(allowed));
  const [MKNOD, READ, WRITE] = [1, 2, 4];
  const accesses = [0, MKNOD, READ, WRITE, READ | WRITE, MKNOD | READ, 7];
  for (const type of [1, 2]) {
    for (const major of [1, 7, 10]) {
      for (const minor of [0, 3, 200, 232, 1048575]) {
        for (const access of accesses) {
          const device = allowed.find((it) =>
            (it.type === "block" ? 1 : 2) === type && it.major === major && it.minor === minor
          );
          const bits = { r: READ, w: WRITE, m: MKNOD } as Record<string, number>;
          const may = [...device?.access ?? ""].reduce((sum, letter) => sum | bits[letter]!, 0);
          const expected = device !== undefined && (access & ~may) === 0 ? 1 : 0;
          assert.equal(
            run(program, { type, access, major, minor }),
            expected,
            JSON.stringify({ type, major, minor, access }),
          );
        }
      }
    }
  }
});
