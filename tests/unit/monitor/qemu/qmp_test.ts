import assert from "node:assert/strict";
import { HostError } from "../../../../lib/errors.ts";
import {
  describeExchange,
  MAXIMUM_CONVERSATION,
  POWER_BUTTON,
  qmpCommand,
  QmpReader,
} from "../../../../lib/monitor/qemu/qmp.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("a command is one line of JSON", () => {
  assert.equal(qmpCommand("stop"), '{"execute":"stop"}\n');
  assert.equal(POWER_BUTTON, '{"execute":"system_powerdown"}\n');
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

Deno.test("a monitor that never stops talking is not listened to", () => {
  const line = bytes(`{"event":"${"x".repeat(1000)}"}\n`);
  const endless = bytes("{".repeat(1000));
  for (const chunk of [line, endless]) {
    const reader = new QmpReader();
    const rounds = Math.ceil(MAXIMUM_CONVERSATION / chunk.length);
    assert.throws(() => {
      for (let round = 0; round < rounds + 1; round++) reader.feed(chunk);
    }, /more than 65536 bytes/);
  }
});

Deno.test("a log has short answers whole, and of others only how long they are", () => {
  assert.equal(
    describeExchange(qmpCommand("query-kvm"), { return: { enabled: true } }),
    '{"execute":"query-kvm"} → {"return":{"enabled":true}}',
  );
  const long = { return: "0".repeat(200) };
  assert.match(describeExchange(qmpCommand("query-it"), long), / → \d{3} characters$/);
});
