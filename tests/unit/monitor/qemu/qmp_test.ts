import assert from "node:assert/strict";
import { HostError } from "../../../../lib/errors.ts";
import {
  CTRL_ALT_DELETE,
  describeExchange,
  isInKernel,
  lastProgram,
  MAXIMUM_CONVERSATION,
  POWER_BUTTON,
  qmpCommand,
  QmpReader,
  READ_ENABLED_EVENTS,
  READ_REGISTERS,
  wantsPowerButton,
} from "../../../../lib/monitor/qemu/qmp.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("a command is one line of JSON", () => {
  assert.equal(qmpCommand("stop"), '{"execute":"stop"}\n');
  for (const command of [CTRL_ALT_DELETE, POWER_BUTTON, READ_ENABLED_EVENTS]) {
    assert.equal(command.indexOf("\n"), command.length - 1);
    assert.equal(typeof JSON.parse(command).execute, "string");
  }
});

Deno.test("messages arrive whole however they are cut", () => {
  const text = '{"QMP":{}}\r\n{"return":{"x":"é"}}\r\n\r\n{"event":"A"}\n{"retu';
  const whole = new QmpReader().feed(bytes(text));
  assert.deepEqual(whole, [{ QMP: {} }, { return: { x: "é" } }, { event: "A" }]);
  const reader = new QmpReader();
  const single = [...bytes(text)].flatMap((byte) => reader.feed(Uint8Array.of(byte)));
  assert.deepEqual(single, whole);
  assert.deepEqual(reader.feed(bytes('rn":1}\n')), [{ return: 1 }]);
});

const deep = `{"return":${"[".repeat(20_000)}${"]".repeat(20_000)}}\n`;
for (const nonsense of ["hello\n", "[]\n", "null\n", "1\n", '{"a"\n', "\0\n", '"x"\n', deep]) {
  Deno.test(`a monitor that says ${JSON.stringify(nonsense.slice(0, 20))} is not believed`, () => {
    assert.throws(() => new QmpReader().feed(bytes(nonsense)), HostError);
  });
}

Deno.test("a monitor that sends a long line byte by byte costs little", () => {
  const reader = new QmpReader();
  const began = processorMilliseconds();
  for (let sent = 0; sent < MAXIMUM_CONVERSATION; sent++) reader.feed(Uint8Array.of(0x20));
  const took = processorMilliseconds() - began;
  assert.ok(took < 5000, `${took} ms of a processor`);
});

/** Of this thread: proc_pid_schedstat(5), in nanoseconds there. */
function processorMilliseconds(): number {
  return Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ")[0]) / 1e6;
}

Deno.test("an answer that is not a text is not read as one", () => {
  const answer = { return: { toString: "0x0020" } };
  assert.equal(wantsPowerButton(answer), true);
  assert.equal(isInKernel(answer), false);
  assert.equal(lastProgram(answer), undefined);
});

Deno.test("a monitor that never stops talking is not listened to", () => {
  const line = bytes(`{"event":"${"x".repeat(1000)}"}\n`);
  const endless = bytes("{".repeat(1000));
  for (const chunk of [line, endless]) {
    const reader = new QmpReader();
    const rounds = Math.ceil(MAXIMUM_CONVERSATION / chunk.length);
    assert.throws(() => {
      for (let round = 0; round < rounds + 1; round++) reader.feed(chunk);
    }, /more than 262144 bytes/);
  }
});

const answers: [answer: unknown, wants: boolean][] = [
  ["portw[0x0602] = 0x0120\r\n", true],
  ["portw[0x0602] = 0x0020\r\n", false],
  ["portw[0x0602] = 0x0000\r\n", false],
  ["portw[0x0602] = 0x0100", true],
  ["portw[0x0602] = 0xffff\r\n", false],
  ["unknown command: 'i'\r\n", true],
  ["", true],
  [undefined, true],
  [{}, true],
];

for (const [answer, wants] of answers) {
  const title = JSON.stringify(answer) ?? "nothing";
  Deno.test(`${title} says that the power button is ${wants ? "" : "not "}wanted`, () => {
    assert.equal(wantsPowerButton({ return: answer }), wants);
  });
}

/** As QEMU 10 prints it. */
const flags = (level: number, halted: number) =>
  `RIP=ffffffff8 RFL=00000046 [---Z-P-] CPL=${level} II=0 A20=1 SMM=0 HLT=${halted}\r\nES =0000`;

const registers: [answer: unknown, inKernel: boolean][] = [
  [flags(0, 0), true],
  [flags(0, 1), false],
  [flags(3, 0), false],
  ["unknown command: 'info registers'\r\n", false],
  [undefined, false],
];

for (const [answer, inKernel] of registers) {
  const title = JSON.stringify(answer) ?? "nothing";
  Deno.test(`${title} says that a guest is ${inKernel ? "" : "not "}in its kernel`, () => {
    assert.equal(isInKernel({ return: answer }), inKernel);
  });
}

/** As QEMU 10 prints them, of 64 and of 32 bits. */
const wide = `FS =0000 00007f12aa001740 00000000 00000000\r\n` +
  `CR0=80050033 CR2=000000000058a27d CR3=000000000257c000 CR4=00751ef0\r\n`;
const narrow = `FS =00d8 1b0a6000 ffffffff 008f9300 DPL=0 DS16 [-WA]\r\n` +
  `CR0=80050033 CR2=b7f1a000 CR3=01d4c000 CR4=00000690\r\n`;

const programs: [answer: unknown, program: string | undefined][] = [
  [wide, "CR2=000000000058a27d CR3=000000000257c000 FS=00007f12aa001740"],
  [narrow, "CR2=b7f1a000 CR3=01d4c000 FS=1b0a6000"],
  ["unknown command: 'info registers'\r\n", undefined],
  [wide.replace("FS =", "GS ="), undefined],
  [wide.replace("CR3=", "CR8="), undefined],
  [undefined, undefined],
];

for (const [answer, program] of programs) {
  Deno.test(`${JSON.stringify(answer) ?? "nothing"} shows the last program: ${program}`, () => {
    assert.equal(lastProgram({ return: answer }), program);
  });
}

Deno.test("a log has short answers whole, and of registers only how long they are", () => {
  assert.equal(
    describeExchange(qmpCommand("query-kvm"), { return: { enabled: true } }),
    '{"execute":"query-kvm"} → {"return":{"enabled":true}}',
  );
  const registers = { return: `RAX=${"0".repeat(200)}` };
  assert.match(describeExchange(READ_REGISTERS, registers), / → \d{3} characters$/);
});
