import assert from "node:assert/strict";
import { formatConsole } from "../../../lib/cli/verbs/logs.ts";
import { endsInSerialLine, lastBytes, saysOutOfMemory } from "../../../lib/container/console.ts";
import { CONSOLE_BYTES } from "../../../lib/plan/agent.ts";

const ROOM = CONSOLE_BYTES - 8;

/** The file after these bytes. */
function fileOf(text: string): Uint8Array {
  const file = new Uint8Array(CONSOLE_BYTES);
  [...text].forEach((letter, index) => file[8 + index % ROOM] = letter.charCodeAt(0));
  return file;
}

function kept(text: string, before = text.length, after = text.length): string {
  return new TextDecoder().decode(lastBytes(BigInt(before), fileOf(text), BigInt(after)));
}

const long = Array.from({ length: 20_000 }, (_, index) => `line ${index}\n`).join("");

Deno.test("the console's bytes come in their order, the last of them when there are many", () => {
  assert.equal(kept(""), "");
  assert.equal(kept("booting\n"), "booting\n");
  assert.equal(kept(long), long.slice(-ROOM));
});

Deno.test("what is overwritten while the file is read is left out", () => {
  assert.equal(kept(long, long.length - 100), long.slice(-ROOM, -100));
  assert.equal(kept("booting\n", 4, 8), "boot");
  assert.equal(kept(long, 10), "");
});

Deno.test("numbers that nothing but a hostile guest would write show nothing", () => {
  for (const [before, after] of [[2n ** 64n - 1n, 0n], [1n, 2n ** 64n - 1n], [70_000n, 1n]]) {
    assert.deepEqual(lastBytes(before!, fileOf(""), after!), new Uint8Array());
  }
});

Deno.test("an agent without a channel is known by the console's end", () => {
  const ends = (text: string) => endsInSerialLine(new TextEncoder().encode(text));
  assert.ok(ends(`${long}[    9.1] urunc-agent: serial line\r\n`));
  assert.ok(ends("urunc-agent: serial line\n"));
  assert.ok(!ends("urunc-agent: serial line\n[    9.2] more\n"));
  assert.ok(!ends(""));
});

Deno.test("a kernel that ran out of memory and killed a process says so in one line", () => {
  const says = (text: string) => saysOutOfMemory(new TextEncoder().encode(text));
  const killed =
    "Killed process 41 (sh) total-vm:233344kB, anon-rss:1kB, UID:0 oom_score_adj:0\r\n";
  assert.ok(says(`${long}[    9.1] Out of memory: ${killed}[    9.2] more\r\n`));
  assert.ok(says(`[    9.1] Memory cgroup out of memory: ${killed}`));
  assert.ok(says(`[    9.1] Out of memory (oom_kill_allocating_task): ${killed}`));
  assert.ok(!says(`[    9.1] Out of memory\r\n[    9.1] other: ${killed}`));
  assert.ok(!says(""));
});

Deno.test("the console is shown as text that a terminal does not obey", () => {
  const text = "[ 0.1] up\r\n\x1b[2J\ttab\x07 \u202eback\u061c\u009b31m é\n";
  const shown = "[ 0.1] up\n?[2J\ttab? ?back??31m é\n";
  assert.equal(formatConsole(new TextEncoder().encode(text)), shown);
});
