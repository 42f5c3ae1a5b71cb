import assert from "node:assert/strict";
import { monitorByName } from "../../../lib/monitor/registry.ts";
import {
  planProcesses,
  type ProcessesInput,
  withStandardLimits,
} from "../../../lib/plan/processes.ts";
import type { Resources } from "../../../lib/oci/types.ts";
import { specOf } from "../../support/plan_inputs.ts";

function resourcesOf(linux: Record<string, unknown>): Resources {
  return specOf({ linux: { namespaces: [], resources: linux } }).linux.resources;
}

function plan(monitor: string, { resources = {}, hooks = {}, ...guest }: Planned = {}) {
  const spec = specOf({ hooks, linux: { namespaces: [], resources } });
  const usual = { vcpus: 1, disks: 0, vhosts: 0, accelerator: "kvm" as const };
  return planProcesses({ ...usual, ...guest, monitor: monitorByName(monitor), spec });
}

type Planned =
  & Partial<Pick<ProcessesInput, "vcpus" | "disks" | "vhosts" | "accelerator">>
  & { resources?: Record<string, unknown>; hooks?: Record<string, unknown> };

const needs: [monitor: string, guest: Planned, needed: number][] = [
  ["qemu", {}, 5],
  ["qemu", { accelerator: "tcg" }, 4],
  ["qemu", { vcpus: 8, disks: 3 }, 44],
  ["qemu", { vhosts: 2 }, 7],
  ["firecracker", { vcpus: 2, disks: 1 }, 4],
  ["hvt", {}, 2],
  ["spt", { disks: 2 }, 1],
];

for (const [monitor, guest, needed] of needs) {
  Deno.test(`${monitor} with ${JSON.stringify(guest)} may have ${needed} threads, and is limited to more`, () => {
    assert.deepEqual(plan(monitor, guest), { needed, standard: needed + 16 });
  });
}

Deno.test("a file server's processes and threads are needed, too", () => {
  const input = {
    monitor: monitorByName("qemu"),
    vcpus: 1,
    disks: 0,
    vhosts: 0,
    accelerator: "tcg" as const,
  };
  const of = (resources: Record<string, unknown>) =>
    planProcesses({
      ...input,
      sharesFiles: true,
      spec: specOf({ linux: { namespaces: [], resources } }),
    });
  assert.deepEqual(of({}), { needed: 7, standard: 23 });
  assert.throws(() => of({ pids: { limit: 6 } }), /at least 7 \(docker/);
});

Deno.test("hooks that run in the container's cgroup have room", () => {
  const hook = { path: "/bin/true" };
  for (const name of ["createContainer", "startContainer"]) {
    assert.equal(plan("spt", { hooks: { [name]: [hook] } }).standard, 513);
  }
  assert.equal(plan("spt", { hooks: { prestart: [hook], createRuntime: [hook] } }).standard, 17);
});

const tooFew: [resources: Record<string, unknown>, property: string][] = [
  [{ pids: { limit: 4 } }, "linux.resources.pids.limit: "],
  // It counts the waiter, too.
  [{ unified: { "pids.max": "5" } }, 'linux.resources.unified["pids.max"]: '],
  [{ pids: { limit: 100 }, unified: { "pids.max": "3" } }, 'linux.resources.unified["pids.max"]: '],
];

for (const [resources, property] of tooFew) {
  Deno.test(`too few processes are refused with what is needed: ${JSON.stringify(resources)}`, () => {
    assert.throws(
      () => plan("qemu", { resources }),
      (error: Error) =>
        error.message.includes(property) && error.message.includes("at least 5 (docker, podman"),
    );
  });
}

Deno.test("what config.json says of processes counts, and the standard limit where it says nothing", () => {
  const standard = { needed: 5, standard: 21 };
  for (const [resources, limit] of [[{}, 21], [{ pids: { limit: 0 } }, 21]] as const) {
    assert.equal(withStandardLimits(resourcesOf(resources), standard).pids.limit, limit);
  }
  for (
    const resources of [
      { pids: { limit: 5 } },
      { pids: { limit: -1 } },
      { unified: { "pids.max": "max" } },
    ]
  ) {
    const asked = resourcesOf(resources);
    assert.deepEqual(plan("qemu", { resources }).needed, 5);
    assert.equal(withStandardLimits(asked, standard), asked);
  }
});
