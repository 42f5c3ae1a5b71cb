/** A node that halts is noticed and killed: with QEMU as nodes have it, and a guest in the node's place. */
import assert from "node:assert/strict";
import { guestKernel } from "../support/fixtures.ts";
import { isAlive, waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { startMachine } from "../vm/qemu.ts";

const needs = ["qemu-system-x86_64"];

async function startIdle(scope: Scope) {
  const directory = await scope.temporaryDirectory("halt");
  const blank = `${directory}/blank`;
  await Deno.writeFile(blank, new Uint8Array(1 << 20));
  const machine = await startMachine(scope, directory, {
    image: { disk: blank, kernel: guestKernel, initrd: blank },
    payload: blank,
    kernelArguments: ["idle"],
    memoryMib: 64,
    silentSeconds: 3,
  });
  await waitFor(() => Deno.readTextFileSync(machine.consoleFile).includes("idle"), {
    timeoutSeconds: 30,
    what: "the guest to idle",
  });
  return machine;
}

for (
  const { name, stop } of [
    { name: "its processors wait for ever", stop: false },
    { name: "QEMU itself is stopped", stop: true },
  ]
) {
  testIf(`a node that halts is killed: ${name}`, { needs }, async () => {
    await using scope = new Scope();
    const machine = await startIdle(scope);
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
    assert.equal(/^CPU#1$/m.test(registers.replaceAll("\r", "")), !stop);
  });
}
