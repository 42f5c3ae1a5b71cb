/** Monitors that do not say what a monitor says. */
import assert from "node:assert/strict";
import { stopGuest } from "../../../../../lib/monitor/qemu/running/stop.ts";
import { askGuest, type FakeMonitor, OK } from "../../../../support/control_socket.ts";

const hostile: { name: string; monitor: FakeMonitor }[] = [
  { name: "says nothing", monitor: { greeting: "" } },
  { name: "greets with nonsense", monitor: { greeting: "hello\n" } },
  { name: "greets with something else", monitor: { greeting: '{"return":{}}\n' } },
  { name: "greets for ever", monitor: { greeting: `${"x".repeat(1000)}`.repeat(100) } },
  { name: "greets with half a line", monitor: { greeting: '{"QMP"' } },
  { name: "never answers", monitor: { answer: () => undefined } },
  { name: "refuses everything", monitor: { answer: () => '{"error":{"class":"x"}}\n' } },
  { name: "answers with events only", monitor: { answer: () => '{"event":"X"}\n'.repeat(10) } },
  {
    name: "answers with a flood of events",
    monitor: { answer: () => '{"event":"X"}\n'.repeat(9e3) },
  },
  { name: "answers with a list", monitor: { answer: () => "[]\n" } },
  { name: "does not take the connection", monitor: { accepts: 0 } },
];

for (const { name, monitor } of hostile) {
  Deno.test(`a monitor that ${name} is given up on soon`, async () => {
    const { outcome, milliseconds, allowance } = await askGuest(monitor);
    assert.equal(outcome, "unresponsive");
    assert.ok(milliseconds < 3500 * allowance, `${milliseconds} ms`);
  });
}

Deno.test("a monitor without its socket is given up on at once", async () => {
  assert.equal(await stopGuest({ controlSocket: "/nonexistent/control.sock" }), "unresponsive");
});

Deno.test("a guest is asked by its power button, and by nothing else", async () => {
  const { outcome, lines, milliseconds, allowance } = await askGuest({});
  assert.equal(outcome, "stopping");
  assert.deepEqual(lines, ["qmp_capabilities", "system_powerdown"]);
  assert.ok(milliseconds < 700 * allowance, `${milliseconds} ms`);
});

Deno.test("a monitor may be slow with its answers, but not for longer than 3 s", async () => {
  const late = (ms: number): FakeMonitor => ({
    answer: () => new Promise((resolve) => setTimeout(resolve, ms, OK)),
  });
  const [patient, impatient] = await Promise.all([askGuest(late(700)), askGuest(late(1800))]);
  assert.equal(patient.outcome, "stopping");
  assert.equal(impatient.outcome, "unresponsive");
  assert.deepEqual(impatient.lines, ["qmp_capabilities", "system_powerdown"]);
});
