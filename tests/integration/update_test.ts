/** update, and limits of huge pages and block devices, in the real cgroups of the test double. */
import assert from "node:assert/strict";
import { Store } from "../../lib/container/store.ts";
import { updateContainer } from "../../lib/container/update.ts";
import { readCgroupLayout } from "../../lib/cgroups/layout.ts";
import { readUpdate } from "../../lib/oci/parse_resources.ts";
import {
  assertFailed,
  assertSucceeded,
  type Container,
  doubleContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const LAYOUT = readCgroupLayout();
const V1 = ["memory", "cpu", "cpuset", "pids"].every((name) => LAYOUT.v1[name] !== undefined);
const NEEDS = {
  needs: ["root", "gcc"],
  skip: V1 ? undefined : "needs cgroup v1",
  timeoutSeconds: 60,
};
const MIB = 1024 * 1024;

/** A file of the container's v1 cgroup. */
function limit(container: Container, file: string): string {
  const controller = file.slice(0, file.indexOf("."));
  const directory = `${LAYOUT.v1[controller]}/urunc/${container.id}`;
  return Deno.readTextFileSync(`${directory}/${file}`).trim();
}

const FILES = [
  "memory.limit_in_bytes",
  "memory.memsw.limit_in_bytes",
  "memory.soft_limit_in_bytes",
  "cpu.shares",
  "cpu.cfs_quota_us",
  "cpu.cfs_period_us",
  "cpuset.cpus",
  "pids.max",
];

function limits(container: Container): Record<string, string> {
  return Object.fromEntries(FILES.map((file) => [file, limit(container, file)]));
}

async function limited(scope: Scope): Promise<Container> {
  return await doubleContainer(scope, "idle", {
    edit(config) {
      (config.linux as Record<string, unknown>).resources = {
        memory: { limit: 128 * MIB, swap: 256 * MIB },
        cpu: { shares: 512, quota: 50_000, period: 100_000 },
        pids: { limit: 20 },
      };
    },
  });
}

testIf("update changes what is given and leaves the rest", NEEDS, async () => {
  await using scope = new Scope();
  const container = await limited(scope);
  await container.mustStart();
  const before = limits(container);
  const expect = (changed: Record<string, string>) => {
    Object.assign(before, changed);
    assert.deepEqual(limits(container), before);
  };
  const update = async (args: string[], stdin?: string) =>
    assertSucceeded(await container.urunc(["update", ...args, container.id], { stdin }));

  await update(["--memory", "192m", "--cpu-share=100", "--pids-limit", "30"]);
  expect({
    "memory.limit_in_bytes": String(192 * MIB),
    "cpu.shares": "100",
    "pids.max": "31",
  });
  await update(["--cpu-quota", "20000"]);
  expect({ "cpu.cfs_quota_us": "20000" });
  await update(["--cpu-period", "50000"]);
  expect({ "cpu.cfs_period_us": "50000" });
  await update(["--memory", "512m", "--memory-swap", "-1", "--memory-reservation=64m"]);
  expect({
    "memory.limit_in_bytes": String(512 * MIB),
    "memory.memsw.limit_in_bytes": "9223372036854771712",
    "memory.soft_limit_in_bytes": String(64 * MIB),
  });
  // As containerd's shim for runc sends it, zeros and all.
  const json = {
    devices: [{ allow: false, access: "rwm" }],
    memory: { limit: 160 * MIB, swap: 320 * MIB, reservation: 0 },
    cpu: { shares: 0, quota: -1, cpus: "0" },
    pids: { limit: -1 },
  };
  await update(["--resources=-"], JSON.stringify(json));
  expect({
    "memory.limit_in_bytes": String(160 * MIB),
    "memory.memsw.limit_in_bytes": String(320 * MIB),
    "cpu.cfs_quota_us": "-1",
    "cpuset.cpus": "0",
    "pids.max": "max",
  });
  // As podman sends it: a file.
  const file = `${await scope.temporaryDirectory()}/resources.json`;
  await Deno.writeTextFile(file, JSON.stringify({ pids: { limit: 77 }, blockIO: { weight: 0 } }));
  assertSucceeded(await container.urunc(["pause", container.id]));
  await update(["--resources", file]);
  expect({ "pids.max": "78" });
  // Of 50 ms, which the container has since before.
  const { stderr } = await container.urunc(["update", "--cpu-quota", "120000", container.id]);
  assert.match(stderr, /the guest keeps the virtual processors .*, 1; the limit is now 3/);
  expect({ "cpu.cfs_quota_us": "120000" });
  await update(["--memory", "161m"]);
});

testIf("an update that is refused changes nothing", NEEDS, async () => {
  await using scope = new Scope();
  const container = await limited(scope);
  await container.mustStart();
  const before = limits(container);
  const cases: [args: string[], texts: (string | RegExp)[], stdin?: string, code?: number][] = [
    [["--memory", "32m"], [
      "linux.resources.memory.limit",
      /33554432 bytes are less than the guest, whose memory is fixed since its create, .*: \d+/,
    ]],
    [["--memory", "300m"], ["memory.swap: 268435456 is less than memory.limit"]],
    [["--memory-swap", "100m"], ["memory.swap", "is less than memory.limit, 134217728"]],
    // The kernel refuses the processor after other limits were changed already.
    [["--memory=200m", "--cpu-share=77", "--pids-limit=9", "--cpuset-cpus=4000"], [
      "set limit",
      "cpuset.cpus to 4000",
    ]],
    [["--cpu-rt-runtime", "5"], ["realtimeRuntime", "no real-time threads"]],
    [["--kernel-memory", "5m"], ["memory.kernel"]],
    [["--l3-cache-schema", "L3:0=f"], ["--l3-cache-schema", "RDT"]],
    [["--cpu-share", "many"], ["--cpu-share", '"many" is not a number'], undefined, 2],
    [["--blkio-weight", "5"], ["read resources blockIO.weight", "10 to 1000"]],
    [["--resources=-"], ["it is not JSON"], "{"],
    [["--resources=-"], ["read resources memory.limit"], '{"memory":{"limit":"1G"}}'],
    [["--resources=-"], ["resources.rdma"], '{"rdma":{"x":{"hcaHandles":1}}}'],
    [["--resources=-", "--memory=1g"], ["--resources", "give either"], "{}", 2],
    [["--resources=/no/such/file"], ["no such file"]],
  ];
  for (const [args, texts, stdin, code] of cases) {
    assertFailed(await container.urunc(["update", ...args, container.id], { stdin }), texts, code);
    assert.deepEqual(limits(container), before, args.join(" "));
  }
  assert.equal((await container.state()).status, "running");
  assertSucceeded(await container.kill("KILL"));
  await container.waitForStatus("stopped");
  const late = ["update", "--pids-limit", "5", container.id];
  assertFailed(await container.urunc(late), ["container not running"]);
  assertSucceeded(await container.delete());
  assertFailed(await container.urunc(late), ["does not exist"]);
});

testIf("huge pages are limited, in whichever tree counts them", {
  needs: ["root", "gcc"],
  skip: LAYOUT.v1.hugetlb !== undefined || LAYOUT.v2?.controllers.includes("hugetlb")
    ? undefined
    : "needs the hugetlb controller",
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle", {
    edit(config) {
      (config.linux as Record<string, unknown>).resources = {
        hugepageLimits: [{ pageSize: "2MB", limit: 4 * MIB }],
      };
    },
  });
  await container.mustCreate();
  const [mountPoint, file] = LAYOUT.v1.hugetlb === undefined
    ? [LAYOUT.v2!.mountPoint, "max"]
    : [LAYOUT.v1.hugetlb, "limit_in_bytes"];
  const read = () =>
    Deno.readTextFileSync(`${mountPoint}/urunc/${container.id}/hugetlb.2MB.${file}`).trim();
  assert.equal(read(), String(4 * MIB));
  const stdin = JSON.stringify({ hugepageLimits: [{ pageSize: "2MB", limit: 0 }] });
  assertSucceeded(await container.urunc(["update", "-r", "-", container.id], { stdin }));
  assert.equal(read(), "0");
});

/** `MAJOR:MINOR` of a disk of this machine. */
function findDisk(): { major: number; minor: number } | undefined {
  for (const { name } of Deno.readDirSync("/sys/block")) {
    if (!/^(vd|sd|nvme)/.test(name)) continue;
    const [major, minor] = Deno.readTextFileSync(`/sys/block/${name}/dev`).trim().split(":");
    return { major: Number(major), minor: Number(minor) };
  }
}

testIf("an update that waits for another command blocks nothing else in its process", {
  ...NEEDS,
  needs: [...NEEDS.needs, "flock"],
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  await container.mustCreate();
  const holder = new Deno.Command("flock", {
    args: [`${container.root}/${container.id}/lock`, "sh", "-c", "echo held; sleep 1"],
    stdout: "piped",
  }).spawn();
  const reader = holder.stdout.getReader();
  await reader.read();
  let ticks = 0;
  const clock = setInterval(() => ticks++, 50);
  const changes = readUpdate({ pids: { limit: 9 } });
  await updateContainer(new Store(container.root), container.id, changes);
  clearInterval(clock);
  assert.ok(ticks > 5, `${ticks} ticks of 50 ms in a second`);
  assert.equal(limit(container, "pids.max"), "10");
  await reader.cancel();
  await holder.status;
});

testIf("block devices are throttled", {
  needs: ["root", "gcc"],
  skip: LAYOUT.v1.blkio === undefined || findDisk() === undefined
    ? "needs the v1 blkio controller and a disk"
    : undefined,
}, async () => {
  await using scope = new Scope();
  const disk = findDisk()!;
  const container = await doubleContainer(scope, "idle", {
    edit(config) {
      (config.linux as Record<string, unknown>).resources = {
        blockIO: {
          throttleReadBpsDevice: [{ ...disk, rate: MIB }],
          throttleWriteIOPSDevice: [{ ...disk, rate: 100 }],
        },
      };
    },
  });
  await container.mustCreate();
  const read = (file: string) =>
    Deno.readTextFileSync(`${LAYOUT.v1.blkio}/urunc/${container.id}/blkio.throttle.${file}`).trim();
  const number = `${disk.major}:${disk.minor}`;
  assert.equal(read("read_bps_device"), `${number} ${MIB}`);
  assert.equal(read("write_iops_device"), `${number} 100`);
  const update = async (blockIO: unknown) =>
    await container.urunc(["update", "-r", "-", container.id], {
      stdin: JSON.stringify({ blockIO, pids: { limit: 9 } }),
    });
  assertSucceeded(await update({ throttleReadBpsDevice: [{ ...disk, rate: 0 }] }));
  assert.equal(read("read_bps_device"), "");
  const noDisk = { major: 4000, minor: 1, rate: 5 };
  const refused = await update({
    throttleWriteIOPSDevice: [{ ...disk, rate: 7 }, noDisk],
  });
  assertFailed(refused, ["write_iops_device to 4000:1 5"]);
  assert.equal(read("write_iops_device"), `${number} 100`);
});
