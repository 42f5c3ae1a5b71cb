/** Memory limits: a guest that uses all its RAM is never killed, and a limit that is too low is refused. */
import assert from "node:assert/strict";
import { cgroupDirectories } from "../support/cgroups.ts";
import { assertFailed, assertNothingLeft, assertSucceeded, Container } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { inNode, testIf } from "../support/skip.ts";

const MIB = 1024 * 1024;

/** In a node these are emulated, once or twice, and slow; little shows what its cgroups do. */
const LIMITS = inNode() ? { kvm: [64, 128], tcg: [64] } : { kvm: [64, 128, 512], tcg: [64, 128] };

const GUESTS = [
  { accelerator: "kvm", limits: LIMITS.kvm, needs: ["root", "qemu-system-x86_64", "kvm"] },
  { accelerator: "tcg", limits: LIMITS.tcg, needs: ["root", "qemu-system-x86_64"] },
] as const;

/** How many processes the kernel has killed for want of memory, and what the limit is in bytes. */
function readMemory(id: string): { kills: number; limit: number } {
  for (const directory of cgroupDirectories(`/urunc/${id}`)) {
    for (const [events, limit] of FILES) {
      try {
        const text = Deno.readTextFileSync(`${directory}/${events}`);
        return {
          kills: Number(/^oom_kill (\d+)$/m.exec(text)![1]),
          limit: Number(Deno.readTextFileSync(`${directory}/${limit}`)),
        };
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
  }
  throw new Error(`no memory cgroup of ${id}`);
}

/** Of version 1 and of version 2. */
const FILES = [
  ["memory.oom_control", "memory.limit_in_bytes"],
  ["memory.events", "memory.max"],
] as const;

function touchedMiB(output: string): number {
  return Number(/^touched (\d+) MiB$/m.exec(output)?.[1]);
}

for (const { accelerator, limits, needs } of GUESTS) {
  for (const limit of limits) {
    testIf(`a guest on ${accelerator} uses all that ${limit} MiB leave it`, {
      needs: [...needs],
    }, async () => {
      await using scope = new Scope();
      const container = await Container.prepare(scope, {
        args: ["touch"],
        accelerator,
        memoryLimit: limit * MIB,
      });
      await container.mustStart();
      await container.waitForStatus("stopped", 60);
      const touched = touchedMiB(container.output());
      assert.deepEqual(readMemory(container.id), { kills: 0, limit: limit * MIB }, "killed");
      // Emulation takes the most of 64 MiB; a guest with nearly nothing would prove little.
      assert.ok(touched >= limit / 4 && touched < limit, `${touched} MiB: ${container.errors()}`);
      assertSucceeded(await container.delete(), "delete");
      assert.equal((await container.run()).code, 0);
      assertNothingLeft(container);
    });
  }

  testIf(`on ${accelerator} a limit that is too low is refused, and what it asks for works`, {
    needs: [...needs],
    inNode: false,
  }, async () => {
    await using scope = new Scope();
    const container = await Container.prepare(scope, {
      args: ["touch"],
      accelerator,
      memoryLimit: 16 * MIB,
    });
    const result = await container.create();
    assertFailed(result, [
      "plan guest memory linux.resources.memory.limit",
      "limit of 16777216 bytes is too low",
    ]);
    assertNothingLeft(container);

    const needed = Number(/at least (\d+) MiB\)/.exec(result.stderr)?.[1]);
    const withLimit = (bytes: number) =>
      container.editConfig((config) => {
        config.linux = {
          ...config.linux as Record<string, unknown>,
          resources: { memory: { limit: bytes } },
        };
      });
    await withLimit(needed * MIB);
    assert.deepEqual(
      { code: (await container.run()).code, touched: touchedMiB(container.output()) > 0 },
      { code: 0, touched: true },
    );
    await withLimit((needed - 1) * MIB);
    assertFailed(await container.create(), [`at least ${needed} MiB`]);
    assertNothingLeft(container);
  });
}

testIf("without a limit the guest has the configured memory", {
  needs: ["root", "qemu-system-x86_64"],
  inNode: false,
}, async () => {
  await using scope = new Scope();
  const config = `${await scope.temporaryDirectory("config")}/config.toml`;
  for (const [toml, mib] of [["", 256], ["default_memory_mib = 40", 40]] as const) {
    await Deno.writeTextFile(config, `accelerator = "tcg"\n${toml}\n`);
    const container = await Container.prepare(scope, { args: ["touch"], config });
    const { stdout } = await container.run();
    // The first pages below 1 MiB are the firmware's.
    assert.equal(touchedMiB(stdout), mib - 1);
  }
});
