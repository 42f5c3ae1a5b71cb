/** A port that is added to a running guest. */
import assert from "node:assert/strict";
import { HostError, WrongStateError } from "../../../../../lib/errors.ts";
import { addPort } from "../../../../../lib/monitor/qemu/running/ports.ts";
import { askMonitor, type FakeMonitor, OK } from "../../../../support/control_socket.ts";

const refusal = (desc: unknown) =>
  `${JSON.stringify({ error: { class: "GenericError", desc } })}\n`;

/** Answers the command with this. */
const answering = (text: string): FakeMonitor => ({
  answer: (line) => line.includes("qmp_capabilities") ? OK : text,
});

const add = (monitor: FakeMonitor) =>
  askMonitor(monitor, (guest) => addPort(guest, 5).catch((error) => error));

Deno.test("a port is added by its number", async () => {
  const said: string[] = [];
  const { outcome } = await add({ answer: (line) => (said.push(line), OK) });
  assert.equal(outcome, undefined);
  assert.deepEqual(JSON.parse(said[1]!), {
    execute: "device_add",
    arguments: {
      driver: "virtserialport",
      bus: "agent.0",
      chardev: "agent-exec.5",
      name: "urunc.exec.5",
      id: "exec.5",
    },
  });
});

Deno.test("one that is there already is not an error", async () => {
  for (const text of ["Duplicate device ID 'exec.5'", "Duplicate ID 'exec.5' for device"]) {
    assert.equal((await add(answering(refusal(text)))).outcome, undefined);
  }
});

Deno.test("a monitor that does not add it, or lies, is an error soon", async () => {
  const cases: [FakeMonitor, RegExp][] = [
    [
      answering(refusal("no free port")),
      /add a port to the guest exec.5: .*refuses: no free port$/,
    ],
    [answering(refusal("x".repeat(50_000))), /refuses: x{200}$/],
    [answering(refusal({ a: 1 })), /refuses: $/],
    [answering('{"error":null}\n'), /refuses: $/],
    [answering(""), /does not answer/],
    [{ greeting: "" }, /does not answer/],
    [{ accepts: 0 }, /does not answer/],
  ];
  for (const [monitor, reason] of cases) {
    const { outcome, milliseconds, allowance } = await add(monitor);
    assert.ok(outcome instanceof HostError);
    assert.match(outcome.message, reason);
    assert.ok(milliseconds < 3500 * allowance, `${milliseconds} ms`);
  }
});

Deno.test("one that has exited, before or meanwhile, is said to have", async () => {
  const exits = () => Promise.reject(new Error("exits"));
  const { outcome: meanwhile } = await add({ answer: exits });
  const { outcome: before } = await askMonitor({ accepts: 0 }, ({ controlSocket }) => {
    const gone = `${controlSocket}.gone`;
    Deno.listen({ transport: "unix", path: gone }).close();
    return addPort({ controlSocket: gone }, 5).catch((error) => error);
  });
  const { outcome: deleted } = await askMonitor(
    { accepts: 0 },
    ({ controlSocket }) => addPort({ controlSocket: `${controlSocket}.no` }, 5).catch((it) => it),
  );
  for (const outcome of [meanwhile, before, deleted]) {
    assert.ok(outcome instanceof WrongStateError, `${outcome}`);
    assert.match(outcome.message, /add a port to the guest exec.5: its monitor has exited$/);
  }
});
