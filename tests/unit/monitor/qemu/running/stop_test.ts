/** Monitors that do not say what a monitor says, and ones whose guest does this or that. */
import assert from "node:assert/strict";
import { close, pidfdOpen } from "../../../../../ffi/linux.ts";
import { stopGuest } from "../../../../../lib/monitor/qemu/running/stop.ts";
import { readGuestTime } from "../../../../../lib/monitor/qemu/running/guest_time.ts";
import { waitFor } from "../../../../support/process.ts";
import {
  askGuest,
  type FakeMonitor,
  GREETING,
  OK,
  serve,
} from "../../../../support/control_socket.ts";
import { RUN_PREFIX } from "../../../../support/mark.ts";

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
    assert.ok(milliseconds < 2500 * allowance, `${milliseconds} ms`);
  });
}

Deno.test("a monitor without its socket is given up on at once", async () => {
  const idle = new Deno.Command("sleep", { args: ["30"] }).spawn();
  const pidfd = pidfdOpen(idle.pid);
  const guest = {
    controlSocket: "/nonexistent/control.sock",
    pid: idle.pid,
    pidfd,
    asking: "auto",
    ending: () => assert.fail("nothing is done to it"),
  } as const;
  assert.equal(await stopGuest(guest), "unresponsive");
  close(pidfd);
  idle.kill("SIGKILL");
  await idle.status;
});

Deno.test("a guest that is only to be asked by its button is asked by nothing else", async () => {
  const { outcome, lines, milliseconds, allowance } = await askGuest({}, { asking: "button" });
  assert.equal(outcome, "stopping");
  assert.deepEqual(lines, ["qmp_capabilities", "system_powerdown"]);
  assert.ok(milliseconds < 700 * allowance, `${milliseconds} ms`);
});

Deno.test("a guest without a driver of the power button is asked by the keyboard", async () => {
  const { lines } = await askGuest({
    answer: (line) => line.includes("i /h") ? '{"return":"portw[0x0602] = 0x0020\\r\\n"}\n' : OK,
  });
  const asked = lines.filter((line) => line !== "human-monitor-command");
  assert.deepEqual(asked, ["qmp_capabilities", "query-kvm", "ending", "send-key"]);
});

/** Registers as QEMU 10 prints them; 64 bits by default. */
const registers = ({ cr2 = "58a27d", cr3 = "257c000", fs = "0" } = {}) =>
  ["RIP=ffffffffbb2be58f CPL=0 HLT=1", `FS =0000 ${fs} 00000000 00000000`]
    .concat([`CR0=80050033 CR2=${cr2} CR3=${cr3} CR4=00751ef0`]).join("\r\n");

const REFUSED = "refused";

/** What is read first, then just before the button is pressed, and so on; the last for ever. */
const traces: {
  name: string;
  readings: (string | undefined)[];
  heard: boolean;
}[] = [
  { name: "nothing", readings: [registers(), registers(), registers()], heard: false },
  {
    name: "other page tables",
    readings: [registers(), registers(), registers({ cr3: "2668000" })],
    heard: true,
  },
  {
    name: "a page that was missed",
    readings: [registers(), registers(), registers({ cr2: "58b000" })],
    heard: true,
  },
  {
    name: "another thread",
    readings: [registers(), registers(), registers({ fs: "7f0000001000" })],
    heard: true,
  },
  {
    name: "what comes to rest, and then nothing",
    readings: [registers({ cr3: "1" }), registers({ cr3: "2" }), registers()],
    heard: false,
  },
  {
    name: "what comes to rest, and then other page tables",
    readings: ["1", "2", "3", "4", "5", "5", "6"].map((cr3) => registers({ cr3 })),
    heard: true,
  },
  {
    name: "what never comes to rest",
    readings: Array.from({ length: 20 }, (_, cr3) => registers({ cr3: `${cr3}` })),
    heard: false,
  },
  { name: "nothing that can be read", readings: ["", "", "x"], heard: false },
  { name: "that they are not for us", readings: [REFUSED], heard: false },
  { name: "silence", readings: [registers(), registers(), undefined], heard: true },
];

/** Has threads, in the place of a guest's, that do nothing. */
const IDLE = {
  program: [Deno.execPath(), "eval", "setInterval(() => {}, 1e6)"],
  settle: untilIdle,
};

for (const { name, readings, heard } of traces) {
  Deno.test(`an idle guest whose registers tell ${name} has ${heard ? "" : "not "}heard`, async () => {
    let count = 0;
    const { outcome, lines } = await askGuest({
      answer: (line) => {
        if (!line.includes("info registers")) return OK;
        const text = readings[Math.min(count++, readings.length - 1)];
        if (text === REFUSED) return `{"error":{"class":"x"}}\n`;
        return text === undefined ? undefined : `${JSON.stringify({ return: text })}\n`;
      },
    }, IDLE);
    assert.equal(outcome, heard ? "stopping" : "unresponsive");
    assert.ok(lines.includes("system_powerdown"), "it is asked whatever can be read");
    assert.equal(lines.includes("send-key"), !heard, "the keyboard is for who has not heard");
  });
}

Deno.test("a monitor that is slow with each answer is not waited for longer than 5 s", async () => {
  const { outcome, milliseconds, allowance, lines } = await askGuest({
    answer: (line) => {
      const answer = line.includes("info registers") ? { return: registers() } : { return: {} };
      return new Promise((resolve) => setTimeout(resolve, 700, `${JSON.stringify(answer)}\n`));
    },
  }, IDLE);
  assert.ok(milliseconds < 5400 * allowance, `${milliseconds} ms`);
  // It was asked, and may react: its caller's timeout decides.
  assert.ok(lines.includes("system_powerdown"), lines.join());
  assert.equal(outcome, "stopping");
});

/** Until its threads have had no processor for a while. */
async function untilIdle(pid: number): Promise<void> {
  let last = -1;
  await waitFor(() => {
    const ran = readGuestTime(pid)?.ran ?? -1;
    const idle = ran > 0 && ran === last;
    last = ran;
    return idle;
  }, { timeoutSeconds: 20, intervalMilliseconds: 400, what: "an idle process" });
}

Deno.test("a guest that ends when it is asked has ended", async () => {
  const victim = new Deno.Command("sleep", { args: ["30"] }).spawn();
  const directory = await Deno.makeTempDir({ prefix: `${RUN_PREFIX}stop-` });
  const controlSocket = `${directory}/control.sock`;
  const listener = Deno.listen({ transport: "unix", path: controlSocket });
  const answer = (line: string) => {
    if (line.includes("system_powerdown")) victim.kill("SIGKILL");
    return OK;
  };
  const serving = listener.accept().then((it) => serve(it, [], GREETING, answer));
  const pidfd = pidfdOpen(victim.pid);
  const outcome = await stopGuest({
    controlSocket,
    pid: victim.pid,
    pidfd,
    asking: "auto",
    ending() {},
  });
  assert.equal(outcome, "ended");
  close(pidfd);
  await victim.status;
  await serving;
  listener.close();
  await Deno.remove(directory, { recursive: true });
});
