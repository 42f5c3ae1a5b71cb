/** A guest that uses all the memory it was given does not get its container killed. */
import assert from "node:assert/strict";
import { findFirmware } from "../../lib/host/binaries.ts";
import { processorVendor } from "../../lib/host/processor.ts";
import { qemu } from "../../lib/monitor/qemu/qemu.ts";
import type { MonitorInput } from "../../lib/monitor/types.ts";
import { guestMemoryMiB } from "../../lib/plan/memory.ts";
import { debianKernel, guestKernel, makeLinuxInitrd } from "../support/fixtures.ts";
import { type CommandResult, run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { findProgram, testIf } from "../support/skip.ts";
import { RUN_PREFIX } from "../support/mark.ts";

const MIB = 1024 * 1024;
const binary = findProgram("qemu-system-x86_64") ?? "/usr/bin/qemu-system-x86_64";

/** Where a memory cgroup can be made, and the files that matter there. */
const hierarchy = findHierarchy();
const skip = hierarchy === undefined ? "needs a memory cgroup hierarchy" : undefined;
const needs = ["root", "qemu-system-x86_64"];

function findHierarchy() {
  const v1 = "/sys/fs/cgroup/memory";
  const readable = (path: string) => {
    try {
      return Deno.readTextFileSync(path);
    } catch {
      return "";
    }
  };
  if (readable(`${v1}/memory.oom_control`) !== "") {
    return { parent: v1, limit: "memory.limit_in_bytes", events: "memory.oom_control" };
  }
  const v2 = "/sys/fs/cgroup";
  return readable(`${v2}/cgroup.subtree_control`).split(/\s+/).includes("memory")
    ? { parent: v2, limit: "memory.max", events: "memory.events" }
    : undefined;
}

/** Runs in a cgroup of its own, with cold page caches: the monitor's files are charged to it. */
async function runLimited(
  scope: Scope,
  limitMiB: number,
  argv: string[],
): Promise<CommandResult & { oomKills: number }> {
  const { parent, limit, events } = hierarchy!;
  const cgroup = `${parent}/${RUN_PREFIX}${crypto.randomUUID()}`;
  Deno.mkdirSync(cgroup);
  // The kernel needs a moment to let go of the last process.
  scope.defer(`remove ${cgroup}`, async () => {
    for (let left = 100;; left--) {
      try {
        return Deno.removeSync(cgroup);
      } catch (error) {
        if (left === 0) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  });
  Deno.writeTextFileSync(`${cgroup}/${limit}`, String(limitMiB * MIB));
  Deno.writeTextFileSync("/proc/sys/vm/drop_caches", "1");
  const join = 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"';
  const result = await run(["sh", "-c", join, "sh", cgroup, ...argv], { timeoutSeconds: 100 });
  const kills = /^oom_kill (\d+)$/m.exec(Deno.readTextFileSync(`${cgroup}/${events}`))?.[1];
  return { ...result, oomKills: Number(kills) };
}

function planned(limitMiB: number, accelerator: "kvm" | "tcg", kernel: string, network: boolean) {
  return guestMemoryMiB({
    monitor: qemu,
    limit: { property: "memory.limit", bytes: limitMiB * MIB },
    defaultMemoryMiB: 256,
    vcpus: 1,
    networks: network ? 1 : 0,
    accelerator,
    kernelBytes: Deno.statSync(kernel).size,
    copiedBytes: 0,
    bootBytes: 0,
    agentBytes: 0,
    openFiles: 1024,
  });
}

function argv(input: Pick<MonitorInput, "accelerator" | "memoryMiB"> & Partial<MonitorInput>) {
  return qemu.argv({
    binary,
    kernel: guestKernel,
    vcpus: 1,
    processorVendor: processorVendor(),
    firmwareDirectories: qemu.firmwareDirectories,
    firmware: findFirmware(qemu, undefined, false),
    ...input,
  });
}

for (const accelerator of ["kvm", "tcg"] as const) {
  for (const limitMiB of [64, 128, 512, 1024]) {
    testIf(
      `a guest on ${accelerator} uses all its memory within ${limitMiB} MiB`,
      { needs: accelerator === "kvm" ? [...needs, "kvm"] : needs, skip },
      async () => {
        await using scope = new Scope();
        const memoryMiB = planned(limitMiB, accelerator, guestKernel, false);
        const result = await runLimited(
          scope,
          limitMiB,
          argv({ accelerator, memoryMiB, commandLine: "touch" }),
        );
        assert.equal(result.oomKills, 0);
        assert.equal(result.stdout, `touched ${memoryMiB - 1} MiB\n`);
        assert.equal(result.code, 0, result.stderr);
      },
    );
  }
}

testIf(
  "a guest with the whole limit as its memory is killed: the overhead is not made up",
  { needs, skip },
  async () => {
    await using scope = new Scope();
    const result = await runLimited(
      scope,
      128,
      argv({ accelerator: "tcg", memoryMiB: 128, commandLine: "touch" }),
    );
    assert.equal(result.oomKills, 1);
    assert.notEqual(result.code, 0);
  },
);

testIf(
  "a stock Linux whose programs use all its memory stays within 192 MiB",
  { needs: [...needs, "busybox", "cpio", "apt-get"], skip, timeoutSeconds: 300 },
  async () => {
    await using scope = new Scope();
    const kernel = await debianKernel();
    // tail keeps all that it reads: the guest's own OOM killer ends it when nothing is left.
    const script = "echo 1 > /proc/sys/vm/overcommit_memory; tail /dev/zero; echo tail ended: $?";
    const initrd = await makeLinuxInitrd({ script, line: "still up", finally: "reboot" });
    scope.defer("remove the initrd", () => initrd.cleanup());
    const memoryMiB = planned(192, "tcg", kernel, true);
    const result = await runLimited(
      scope,
      192,
      argv({
        accelerator: "tcg",
        memoryMiB,
        kernel,
        initrd: initrd.path,
        commandLine: "console=ttyS0 quiet panic=-1",
      }),
    );
    assert.equal(result.oomKills, 0);
    assert.match(result.stdout, /tail ended: 137\r?\n/);
    assert.match(result.stdout, /still up/);
    assert.equal(result.code, 0, result.stderr);
  },
);
