/** How nodes end: with QEMU as they have it, and a guest in the node's place. */
import assert from "node:assert/strict";
import { exists } from "../../lib/os/files.ts";
import { isAlive, run, waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { lines } from "../support/streams.ts";
import { startIdle } from "./node_child.ts";

const needs = ["qemu-system-x86_64"];

for (
  const { name, stop } of [
    { name: "its processors wait for ever", stop: false },
    { name: "QEMU itself is stopped", stop: true },
  ]
) {
  testIf(`a node that halts is killed: ${name}`, { needs }, async () => {
    await using scope = new Scope();
    const machine = await startIdle(scope, await scope.temporaryDirectory("halt"));
    const { pid } = machine;
    if (stop) Deno.kill(pid, "SIGSTOP");
    await waitFor(() => machine.ending() !== undefined, {
      timeoutSeconds: 60,
      what: "the watch to end the node",
    });
    assert.match(machine.halt() ?? "no halt", /^no ssh and no work of its processors for \d+ s$/);
    assert.ok(!isAlive(pid));
    // What the processors waited for is kept; a stopped QEMU cannot tell.
    const registers = await Deno.readTextFile(machine.registersFile).catch(() => "");
    assert.equal(/^CPU#0$/m.test(registers.replaceAll("\r", "")), !stop);
  });
}

testIf("a halted node reports when there is no room for its files", {
  needs: [...needs, "root", "mount"],
}, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("full");
  await run(["mount", "-t", "tmpfs", "-o", "size=4M", "none", directory], { check: true });
  scope.defer("unmount", () => run(["umount", directory], { check: true }));
  const machine = await startIdle(scope, directory);
  await assert.rejects(Deno.writeFile(`${directory}/fill`, new Uint8Array(4 << 20)));
  await waitFor(() => machine.ending() !== undefined, {
    timeoutSeconds: 60,
    what: "the watch to end the node",
  });
  assert.ok(machine.halt()?.endsWith(`; the file system of ${directory} is full`), machine.halt());
});

testIf("no node outlives its test run, when all of its processes are killed at once", {
  needs,
}, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("killed");
  const script = new URL("node_child.ts", import.meta.url).pathname;
  // As the runner starts a group of tests, which it kills when that does not end by itself.
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-lock", "--no-check", script, directory],
    stdin: "null",
    stdout: "piped",
    detached: true,
  }).spawn();
  scope.defer("end the test run", () => kill(-child.pid));
  const { value: line } = await lines(child.stdout)[Symbol.asyncIterator]().next();
  const qemu = Number(line);
  scope.defer("end QEMU", () => isAlive(qemu) && kill(qemu));
  assert.ok(isAlive(qemu));

  kill(-child.pid);
  await child.status;
  await waitFor(() => !isAlive(qemu), { timeoutSeconds: 10, what: "QEMU to end" });
  await waitFor(() => !exists(directory), { timeoutSeconds: 10, what: "its files to be gone" });
});

testIf("a node whose power is cut starts anew, in the same machine", { needs }, async () => {
  await using scope = new Scope();
  const machine = await startIdle(scope, await scope.temporaryDirectory("reset"), 60);
  const { pid } = machine;
  const starts = () => Deno.readTextFileSync(machine.consoleFile).split("idle").length - 1;
  assert.equal(starts(), 1);
  await machine.reset();
  await waitFor(() => starts() === 2, { timeoutSeconds: 30, what: "the guest to idle again" });
  assert.deepEqual([machine.ending(), isAlive(pid)], [undefined, true]);
});

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch { /* it has ended */ }
}
