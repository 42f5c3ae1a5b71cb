import assert from "node:assert/strict";
import { guestOf } from "../../../lib/guest/families/registry.ts";
import { monitorByName, monitorNames } from "../../../lib/monitor/registry.ts";
import { monitorArguments, waiterArguments } from "../../../lib/plan/waiter.ts";
import { ENDS } from "../../support/ends.ts";

const words: [monitor: string, guest: Parameters<typeof guestOf>[0], expected: string[]][] = [
  ["qemu", "linux", ["end=15", "input", "debug-exit"]],
  ["qemu", "elf", ["end=15", "input", "debug-exit"]],
  ["qemu", "unikraft", ["end=15", "input", "code=83:0", "code=85:255", "debug-exit"]],
  ["qemu", "mirage", ["end=15", "input", "code=83:0", "debug-exit"]],
  ["firecracker", "linux", ["end=9", "input", "blocking"]],
  ["firecracker", "unikraft", ["end=9", "input", "blocking"]],
  ["hvt", "mirage", ["end=9"]],
  ["spt", "rumprun", ["end=9"]],
];

for (const [monitor, guest, expected] of words) {
  Deno.test(`the arguments of the waiter for ${guest} on ${monitor}`, () => {
    const fds = { goFd: 4, createdFd: 7, startFd: 5 };
    const input = { monitor: monitorByName(monitor), guest: guestOf(guest), ...fds };
    const first = ["urunc-waiter", "go=4", "created=7", "start=5"];
    assert.deepEqual(waiterArguments(input), [...first, ...expected]);
    const watching = waiterArguments({ ...input, watchFd: 6 }).slice(first.length);
    const added = watching.slice(0, watching.indexOf(expected[0]!));
    const { log, texts = [] } = input.monitor.failures ?? {};
    const kind = log === undefined ? "events" : "log";
    assert.deepEqual(added, [`${kind}=6`, ...texts.map((text) => `failure=${text}`)]);
  });
}

Deno.test("the arguments of the monitor's process: its limit, and the monitor's", () => {
  const program = ["/usr/bin/monitor", "--", "input"];
  const fileSize = { soft: 2n ** 20n, hard: 2n ** 64n - 1n };
  const expected = ["urunc-monitor", "fsize=1048576:18446744073709551615", "--", ...program];
  assert.deepEqual(monitorArguments({ fileSize, program }), expected);
});

Deno.test("a text that reports a failure is found by its first character, and there is room for all", () => {
  for (const name of monitorNames()) {
    const { texts = [] } = monitorByName(name).failures ?? {};
    assert.ok(texts.length <= 8, "MOST_FAILURES in waiter.c");
    for (const text of texts) {
      const again = text.indexOf(text[0]!, 1);
      assert.ok(again === -1 || again === text.length - 1, text);
    }
  }
});

Deno.test("the table of ends has rows for every monitor and QEMU's every guest", () => {
  const has = (monitor: string, guest?: string) =>
    ENDS.some((it) => it.monitor === monitor && (guest === undefined || it.guest === guest));
  for (const monitor of monitorNames()) assert.ok(has(monitor), monitor);
  for (const type of monitorByName("qemu").guests) assert.ok(has("qemu", type), type);
});
