/** Cgroup version 2 as operators have it: devices, limits that change, pause. */
import assert from "node:assert/strict";
import { run } from "../../support/process.ts";
import { assertFailed, assertSucceeded, doubleContainer } from "../../support/runtime.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { type NodeDocker, nodeDocker, nodePodman } from "./_docker.ts";
import { cgroupOf, makeGuestImage, startIdle } from "./_guests.ts";

const ROOT = "/sys/fs/cgroup";
const MIB = 1024 * 1024;

function read(cgroup: string, ...names: string[]): Record<string, string> {
  return Object.fromEntries(
    names.map((name) => [name, Deno.readTextFileSync(`${ROOT}${cgroup}/${name}`).trim()]),
  );
}

/** Whether a process in the cgroup may open a node: who joins has all of root's rights. */
async function mayOpen(cgroup: string, node: string): Promise<string> {
  const script = `echo $$ > ${ROOT}${cgroup}/cgroup.procs; exec 3<>${node}`;
  const { code, stderr } = await run(["sh", "-c", script]);
  return code === 0 ? "yes" : /not permitted/.test(stderr) ? "no" : stderr;
}

async function assertDevices(cgroup: string): Promise<void> {
  const answers: Record<string, string> = {};
  for (const node of ["/dev/kvm", "/dev/null", "/dev/vda", "/dev/fuse"]) {
    answers[node] = await mayOpen(cgroup, node);
  }
  assert.deepEqual(answers, {
    "/dev/kvm": "yes",
    "/dev/null": "no",
    "/dev/vda": "no",
    "/dev/fuse": "no",
  });
}

testIf("cgroup v2: all limits are in force, and change or do not as a whole", {
  needs: ["root", "gcc"],
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const disk = Deno.readTextFileSync("/sys/block/vda/dev").trim();
  const [major, minor] = disk.split(":").map(Number);
  const container = await doubleContainer(scope, "alloc 50; print allocated; idle", {
    edit(config) {
      (config.linux as Record<string, unknown>).resources = {
        memory: { limit: 128 * MIB, swap: 160 * MIB, reservation: 64 * MIB },
        cpu: { shares: 1024, quota: 50_000, period: 100_000, cpus: "0", mems: "0" },
        pids: { limit: 20 },
        blockIO: { throttleReadBpsDevice: [{ major, minor, rate: 10 * MIB }] },
        hugepageLimits: [{ pageSize: "2MB", limit: 0 }],
        unified: { "memory.oom.group": "1" },
      };
    },
  });
  const pid = await container.mustStart();
  await container.waitForOutput("allocated");
  const cgroup = cgroupOf(pid);
  assert.equal(cgroup, `/urunc/${container.id}`);
  const before = {
    "memory.max": String(128 * MIB),
    "memory.swap.max": String(32 * MIB),
    "memory.low": String(64 * MIB),
    "cpu.weight": "39",
    "cpu.max": "50000 100000",
    "cpuset.cpus": "0",
    "pids.max": "21",
    "io.max": `${disk} rbps=${10 * MIB} wbps=max riops=max wiops=max`,
    "hugetlb.2MB.max": "0",
    "memory.oom.group": "1",
  };
  const files = Object.keys(before);
  assert.deepEqual(read(cgroup, ...files), before);

  const update = (resources: unknown) =>
    container.urunc(["update", "--resources=-", container.id], {
      stdin: JSON.stringify(resources),
    });
  // The kernel refuses the processor after the other limits were changed already.
  const impossible = await update({
    memory: { limit: 150 * MIB, reservation: 1 },
    cpu: { quota: 10_000, cpus: "4000" },
    blockIO: { throttleReadBpsDevice: [{ major, minor, rate: 1 }] },
  });
  assertFailed(impossible, ["cpuset.cpus to 4000"]);
  assert.deepEqual(read(cgroup, ...files), before);
  assertFailed(await update({ memory: { limit: 32 * MIB } }), ["less than the guest"]);
  for (
    const unified of [{ "memory.max": "1000" }, { "memory.high": "32M" }, { "memory.max": "0" }]
  ) {
    assertFailed(await update({ unified }), ["less than the guest", Object.keys(unified)[0]!]);
  }
  assert.deepEqual(read(cgroup, ...files), before);

  assertSucceeded(
    await update({
      memory: { limit: 140 * MIB },
      cpu: { quota: 20_000 },
      pids: { limit: -1 },
      blockIO: { throttleReadBpsDevice: [{ major, minor, rate: 0 }] },
    }),
  );
  assert.deepEqual(read(cgroup, ...files), {
    ...before,
    "memory.max": String(140 * MIB),
    // Memory and swap together stay what they were.
    "memory.swap.max": String(20 * MIB),
    "cpu.max": "20000 100000",
    "pids.max": "max",
    "io.max": "",
  });

  const { stdout } = await container.urunc(["events", "--stats", container.id], { check: true });
  const { data } = JSON.parse(stdout);
  const { usage, limit } = data.memory.usage;
  assert.ok(usage >= 50 * MIB && usage < 60 * MIB, `${usage} bytes`);
  assert.equal(limit, 140 * MIB);
  assert.deepEqual(data.pids, { current: 2, limit: 0 });
  assert.ok(data.cpu.usage.total > 1_000_000);
});

const ENGINES: [string, (scope: Scope) => NodeDocker, string[]][] = [
  ["docker", nodeDocker, ["--runtime=urunc"]],
  ["podman", (scope) => nodePodman(scope), []],
];

for (const [name, engine, options] of ENGINES) {
  testIf(`${name}: a guest gets its devices and no others, is paused and updated`, {
    needs: ["root", "kvm", name],
    timeoutSeconds: 180,
  }, async () => {
    await using scope = new Scope();
    const it = engine(scope);
    await makeGuestImage(it);
    const guest = await startIdle(it, [...options, "--memory=512m", "--pids-limit=200"]);
    const cgroup = cgroupOf(guest.pid);
    await assertDevices(cgroup);

    await it.docker(["pause", guest.id], { check: true });
    assert.equal((await it.inspect(guest.id)).State.Status, "paused");
    assert.match(read(cgroup, "cgroup.events")["cgroup.events"]!, /^frozen 1$/m);
    await it.docker(["unpause", guest.id], { check: true });
    assert.equal((await it.inspect(guest.id)).State.Status, "running");
    assert.match(read(cgroup, "cgroup.events")["cgroup.events"]!, /^frozen 0$/m);

    await it.docker(["update", "--memory=600m", "--pids-limit=77", guest.id], { check: true });
    assert.deepEqual(read(cgroup, "memory.max", "pids.max"), {
      "memory.max": String(600 * MIB),
      "pids.max": "78",
    });
    // systemd brings back what it knows.
    await run(["systemctl", "daemon-reload"], { check: true });
    assert.deepEqual(read(cgroup, "memory.max", "pids.max"), {
      "memory.max": String(600 * MIB),
      "pids.max": "78",
    });
    await assertDevices(cgroup);

    await it.docker(["pause", guest.id], { check: true });
    await it.docker(["rm", "--force", guest.id], { check: true });
    assert.throws(() => Deno.statSync(`${ROOT}${cgroup}`), Deno.errors.NotFound);
  });
}
