/**
 * QEMU as nodes have it, with a guest in the node's place. As a program it starts one in the existing
 * directory that is its argument, prints QEMU's process id, and waits to be killed.
 */
import { guestKernel } from "../support/fixtures.ts";
import { waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { type Machine, startMachine } from "../vm/qemu.ts";

/**
 * Starts it and waits until it idles; it ends with the scope.
 *
 * @param silentSeconds after which it counts as halted
 */
export async function startIdle(
  scope: Scope,
  directory: string,
  silentSeconds = 3,
): Promise<Machine> {
  const blank = `${directory}/blank`;
  await Deno.writeFile(blank, new Uint8Array(1 << 20));
  const machine = await startMachine(scope, directory, {
    image: { disk: blank, kernel: guestKernel, initrd: blank },
    payload: blank,
    kernelArguments: ["idle"],
    memoryMib: 64,
    silentSeconds,
  });
  await waitFor(() => Deno.readTextFileSync(machine.consoleFile).includes("idle"), {
    timeoutSeconds: 30,
    what: "the guest to idle",
  });
  return machine;
}

if (import.meta.main) {
  await using scope = new Scope();
  const { pid } = await startIdle(scope, Deno.args[0]!);
  console.log(pid);
  await new Promise((resolve) => setTimeout(resolve, 60_000));
}
