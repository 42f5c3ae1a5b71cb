/** Containers in cgroups that systemd makes. */
import assert from "node:assert/strict";
import { monitorOf, run, waitFor } from "../../support/process.ts";
import { assertFailed, type Container, doubleContainer } from "../../support/runtime.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";

const needs = ["root", "gcc", "systemctl"];
const MIB = 1024 * 1024;

interface Place {
  container: Container;
  unit: string;
  directory: string;
}

/** A container of the test double in a slice of the test's own. */
async function place(
  scope: Scope,
  edit: (linux: Record<string, unknown>, config: Record<string, unknown>) => void = () => {},
): Promise<Place> {
  const container = await doubleContainer(scope, "idle", { globals: ["--systemd-cgroup"] });
  await container.editConfig((config) => {
    const linux = config.linux as Record<string, unknown>;
    linux.cgroupsPath = `urunctest-a.slice:test:${container.id}`;
    edit(linux, config);
  });
  const unit = `test-${container.id}.scope`;
  const slices = "/sys/fs/cgroup/urunctest.slice/urunctest-a.slice";
  // Empty slices stay until somebody stops them.
  scope.defer("stop the slices", () => run(["systemctl", "stop", "urunctest.slice"]));
  return { container, unit, directory: `${slices}/${unit}` };
}

async function show(unit: string, ...properties: string[]): Promise<Record<string, string>> {
  const { stdout } = await run(["systemctl", "show", `--property=${properties.join(",")}`, unit], {
    check: true,
  });
  const lines = stdout.trim().split("\n").map((line) => line.split("=", 2) as [string, string]);
  return Object.fromEntries(lines);
}

async function assertGone(unit: string, directory: string): Promise<void> {
  assert.throws(() => Deno.statSync(directory), Deno.errors.NotFound);
  const { LoadState } = await show(unit, "LoadState");
  assert.equal(LoadState, "not-found");
}

function readFiles(directory: string, names: string[]): Record<string, string> {
  return Object.fromEntries(
    names.map((name) => [name, Deno.readTextFileSync(`${directory}/${name}`).trim()]),
  );
}

testIf("a scope with its limits, for systemd and in the files, which it does not undo", {
  needs,
}, async () => {
  await using scope = new Scope();
  const { container, unit, directory } = await place(scope, (linux, config) => {
    linux.resources = {
      memory: { limit: 256 * MIB, swap: 256 * MIB, reservation: MIB },
      cpu: { shares: 512, quota: 33_333, period: 100_000, cpus: "0", mems: "0" },
      pids: { limit: 64 },
      unified: { "hugetlb.2MB.max": "0" },
    };
    config.annotations = { "org.systemd.property.TimeoutStopUSec": "uint64 5000000" };
  });
  const pid = await container.mustStart();
  const expected = {
    "memory.max": String(256 * MIB),
    "memory.swap.max": "0",
    "memory.low": String(MIB),
    "cpu.weight": "20",
    "cpu.max": "33333 100000",
    "cpuset.cpus": "0",
    "cpuset.mems": "0",
    "pids.max": "65",
    "hugetlb.2MB.max": "0",
    "cgroup.procs": [pid, monitorOf(pid)].join("\n"),
  };
  assert.deepEqual(readFiles(directory, Object.keys(expected)), expected);
  const properties = {
    Slice: "urunctest-a.slice",
    Delegate: "yes",
    DefaultDependencies: "no",
    CollectMode: "inactive-or-failed",
    TimeoutStopUSec: "5s",
    MemoryMax: String(256 * MIB),
    MemorySwapMax: "0",
    MemoryLow: String(MIB),
    CPUWeight: "20",
    CPUQuotaPerSecUSec: "340ms",
    CPUQuotaPeriodUSec: "100ms",
    AllowedCPUs: "0",
    AllowedMemoryNodes: "0",
    TasksMax: "65",
    ActiveState: "active",
  };
  assert.deepEqual(await show(unit, ...Object.keys(properties)), properties);
  // The root of its cgroup namespace: the scope existed before the namespace did.
  assert.equal(
    Deno.readTextFileSync(`/proc/${pid}/cgroup`).trim(),
    `0::/urunctest.slice/urunctest-a.slice/${unit}`,
  );

  await run(["systemctl", "daemon-reload"], { check: true });
  const { "cgroup.procs": _, ...limits } = expected;
  // systemd keeps a quota in percent, and writes it again.
  const after = readFiles(directory, Object.keys(limits));
  assert.deepEqual({ ...after, "cpu.max": expected["cpu.max"] }, limits);

  const changes = ["--pids-limit", "77", "--cpu-quota", "55555", container.id];
  assert.equal((await container.urunc(["update", ...changes])).code, 0);
  assert.deepEqual(readFiles(directory, ["pids.max", "cpu.max"]), {
    "pids.max": "78",
    "cpu.max": "55555 100000",
  });
  assert.deepEqual(await show(unit, "TasksMax", "CPUQuotaPerSecUSec"), {
    TasksMax: "78",
    CPUQuotaPerSecUSec: "560ms",
  });

  assert.equal((await container.delete("--force")).code, 0);
  await assertGone(unit, directory);
});

testIf("a monitor that ends by itself, and the same name again", { needs }, async () => {
  await using scope = new Scope();
  const { container, unit, directory } = await place(scope);
  for (let round = 0; round < 2; round++) {
    const pid = await container.mustStart();
    Deno.kill(pid, "SIGKILL");
    await container.waitForStatus("stopped");
    assert.equal((await container.delete()).code, 0);
    await assertGone(unit, directory);
  }
});

testIf("a creator that was killed leaves nothing after delete --force", { needs }, async () => {
  await using scope = new Scope();
  const { container, unit, directory } = await place(scope, (_linux, config) => {
    // While the hook runs the scope is there, and the container is not yet.
    config.hooks = { createRuntime: [{ path: "/bin/sleep", args: ["sleep", "60"] }] };
  });
  const creator = await container.spawn(scope, "create");
  await waitFor(() => isDirectory(directory), { timeoutSeconds: 30, what: directory });
  creator.child.kill("SIGKILL");
  await creator.code;
  await container.waitForStatus("stopped");
  assert.equal((await container.delete("--force")).code, 0);
  await assertGone(unit, directory);
});

testIf("a foreign scope is rejected and left alone", { needs }, async () => {
  await using scope = new Scope();
  const { container, unit, directory } = await place(scope);
  const name = unit.replace(/\.scope$/, "");
  const command = ["systemd-run", "--quiet", "--scope", "--slice=urunctest-a.slice"];
  const other = new Deno.Command(command[0]!, {
    args: [...command.slice(1), `--unit=${name}`, "sleep", "300"],
    stdin: "null",
    stdout: "null",
  }).spawn();
  scope.defer("the other's scope", async () => {
    other.kill("SIGKILL");
    await other.status;
  });
  await waitFor(() => isDirectory(directory), { timeoutSeconds: 30, what: directory });
  assertFailed(await container.create(), [`use cgroup ${directory}`, `process ${other.pid}`]);
  assert.equal((await show(unit, "ActiveState")).ActiveState, "active");
});

testIf("systemd executes itself anew meanwhile: the create only takes longer", {
  needs,
}, async () => {
  await using scope = new Scope();
  const { container, unit, directory } = await place(scope);
  const anew = run(["systemctl", "daemon-reexec"], { check: true });
  await container.mustCreate();
  await anew;
  assert.equal((await show(unit, "ActiveState")).ActiveState, "active");
  assert.equal((await container.delete("--force")).code, 0);
  await assertGone(unit, directory);
});

testIf("without a bus systemd's own socket does", { needs }, async () => {
  await using scope = new Scope();
  const { container, unit, directory } = await place(scope);
  const env = { DBUS_SYSTEM_BUS_ADDRESS: "unix:path=/nonexistent" };
  await container.mustCreate({ env });
  assert.equal((await show(unit, "ActiveState")).ActiveState, "active");
  assert.equal((await container.urunc(["delete", "--force", container.id], { env })).code, 0);
  await assertGone(unit, directory);
});

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}
