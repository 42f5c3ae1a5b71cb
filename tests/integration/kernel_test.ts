/** A kernel that a guest could not run from is refused by create, which leaves nothing. */
import { makeBzImage } from "../support/kernels.ts";
import { assertFailed, assertNothingLeft, Container } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const needs = ["root", "qemu-system-x86_64"];
const MIB = 1024 * 1024;

const kernels: { what: string; bytes: Uint8Array; memoryLimit?: number; says: string[] }[] = [
  {
    what: "a text",
    bytes: new TextEncoder().encode("version https://git-lfs.github.com/spec/v1\n"),
    says: ["/unikernel/guest.elf: it is a text; QEMU starts"],
  },
  {
    what: "one that does not fit",
    bytes: makeBzImage({ initSize: 100 * MIB }),
    memoryLimit: 128 * MIB,
    says: ["the guest's kernel needs 116 MiB", "a memory limit of at least"],
  },
];

for (const { what, bytes, memoryLimit, says } of kernels) {
  testIf(`a kernel that is ${what} is refused by create`, { needs }, async () => {
    await using scope = new Scope();
    const directory = await scope.temporaryDirectory("kernel");
    await Deno.writeFile(`${directory}/kernel`, bytes);
    const container = await Container.prepare(scope, {
      kernel: `${directory}/kernel`,
      unikernelType: "linux",
      accelerator: "tcg",
      memoryLimit,
    });
    assertFailed(await container.create(), says);
    assertNothingLeft(container);
  });
}
