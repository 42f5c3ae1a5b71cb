/** Monitors that do not say what a monitor says, and ones whose guest does this or that. */
import assert from "node:assert/strict";
import { close, pidfdOpen } from "../../../ffi/linux.ts";
import { stopGuest } from "../../../lib/container/stop.ts";
import { askGuest, type FakeMonitor, GREETING, OK, serve } from "../../support/control_socket.ts";

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
    const { outcome, milliseconds } = await askGuest(monitor);
    assert.equal(outcome, "deaf");
    assert.ok(milliseconds < 1500, `${milliseconds} ms`);
  });
}

Deno.test("a monitor without its socket is given up on at once", async () => {
  const idle = new Deno.Command("sleep", { args: ["30"] }).spawn();
  const pidfd = pidfdOpen(idle.pid);
  const guest = { directory: "/nonexistent", pid: idle.pid, pidfd, asking: "auto" } as const;
  assert.equal(await stopGuest(guest), "deaf");
  close(pidfd);
  idle.kill("SIGKILL");
  await idle.status;
});

Deno.test("a guest that is only to be asked by its button is asked by nothing else", async () => {
  const { outcome, lines, milliseconds } = await askGuest({}, { asking: "button" });
  assert.equal(outcome, "stopping");
  assert.deepEqual(lines, ["qmp_capabilities", "system_powerdown"]);
  assert.ok(milliseconds < 300, `${milliseconds} ms`);
});

Deno.test("a guest without a driver of the power button is asked by the keyboard", async () => {
  const { lines } = await askGuest({
    answer: (line) => line.includes("i /h") ? '{"return":"portw[0x0602] = 0x0020\\r\\n"}\n' : OK,
  });
  assert.deepEqual(lines, ["qmp_capabilities", "query-kvm", "human-monitor-command", "send-key"]);
});

Deno.test("a guest that ends when it is asked has ended", async () => {
  const victim = new Deno.Command("sleep", { args: ["30"] }).spawn();
  const directory = await Deno.makeTempDir({ prefix: "urunc-test-stop-" });
  const listener = Deno.listen({ transport: "unix", path: `${directory}/control.sock` });
  const answer = (line: string) => {
    if (line.includes("system_powerdown")) victim.kill("SIGKILL");
    return OK;
  };
  const serving = listener.accept().then((it) => serve(it, [], GREETING, answer));
  const pidfd = pidfdOpen(victim.pid);
  const outcome = await stopGuest({ directory, pid: victim.pid, pidfd, asking: "auto" });
  assert.equal(outcome, "ended");
  close(pidfd);
  await victim.status;
  await serving;
  listener.close();
  await Deno.remove(directory, { recursive: true });
});
