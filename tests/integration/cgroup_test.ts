import assert from "node:assert/strict";
import {
  cgroupProcesses,
  killCgroup,
  makeCgroup,
  planCgroup,
  removeCgroup,
} from "../../lib/cgroups/cgroup.ts";
import { HostError } from "../../lib/errors.ts";
import { readCgroupLayout } from "../../lib/cgroups/layout.ts";
import type { CgroupLayout } from "../../lib/host/types.ts";
import { delay } from "../../lib/os/timer.ts";
import type { Resources } from "../../lib/oci/types.ts";
import { run, waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { RUN_PREFIX } from "../support/mark.ts";

const LAYOUT = readCgroupLayout();
/** Not the runtime's own parent: containers of other tests may live there. */
const PARENT = `/${RUN_PREFIX}${Deno.pid}`;

function limits(parts: Partial<Resources> = {}): Resources {
  return {
    devices: [],
    memory: {},
    cpu: {},
    pids: {},
    blockIO: {},
    hugepageLimits: [],
    network: {},
    unified: {},
    ...parts,
  };
}

/** Every directory of this test's, in every hierarchy. */
function left(): string[] {
  const mountPoints = [...Object.values(LAYOUT.v1), LAYOUT.v2?.mountPoint ?? ""];
  return [...new Set(mountPoints)].flatMap((mountPoint) => {
    try {
      Deno.statSync(`${mountPoint}${PARENT}`);
      return [`${mountPoint}${PARENT}`];
    } catch {
      return [];
    }
  });
}

function sleeper(): Deno.ChildProcess {
  return new Deno.Command("sleep", { args: ["60"] }).spawn();
}

/** What /proc says, which is not what we wrote. */
function membership(pid: number): string[] {
  return Deno.readTextFileSync(`/proc/${pid}/cgroup`).trim().split("\n").map((line) =>
    line.slice(line.indexOf(":", line.indexOf(":") + 1) + 1)
  );
}

const ROOT = { needs: ["root"], skip: LAYOUT.mode === "none" ? "needs cgroups" : undefined };

testIf("a process joins all hierarchies, is killed and leaves nothing", ROOT, async () => {
  const cgroup = planCgroup(LAYOUT, `${PARENT}/pod/one`, "one", limits());
  assert.deepEqual(left(), [], "planning made something");
  const process = sleeper();
  try {
    makeCgroup(cgroup);
    makeCgroup(cgroup);
    cgroup.join(process.pid);
    assert.deepEqual([...new Set(membership(process.pid))], [`${PARENT}/pod/one`]);
    assert.deepEqual(cgroupProcesses(cgroup.directories), [process.pid]);
    await killCgroup(cgroup.directories);
    assert.equal((await process.status).signal, "SIGKILL");
    assert.deepEqual(cgroupProcesses(cgroup.directories), []);
  } finally {
    await killCgroup(cgroup.directories);
    await removeCgroup(cgroup.directories);
    await process.status;
  }
  assert.deepEqual(left(), []);
  await removeCgroup(cgroup.directories);
  await killCgroup(cgroup.directories);
});

testIf("a cgroup with many processes that are born meanwhile is emptied", ROOT, async () => {
  const cgroup = planCgroup(LAYOUT, `${PARENT}/one`, "one", limits());
  const script =
    "read go; for i in 1 2 3 4 5 6 7 8; do (while :; do sleep 0.01; done) & done; wait";
  const shell = new Deno.Command("sh", { args: ["-c", script], stdin: "piped" }).spawn();
  try {
    makeCgroup(cgroup);
    cgroup.join(shell.pid);
    const stdin = shell.stdin.getWriter();
    await stdin.write(new TextEncoder().encode("go\n"));
    await waitFor(() => cgroupProcesses(cgroup.directories).length > 8, {
      timeoutSeconds: 20,
      what: "the processes",
    });
    await killCgroup(cgroup.directories);
    await shell.status;
    await stdin.abort().catch(() => {});
  } finally {
    await killCgroup(cgroup.directories);
    await removeCgroup(cgroup.directories);
  }
  assert.deepEqual(left(), []);
});

/** As on a host that has version 1 alone; nothing where it has version 2 alone. */
const WITHOUT_V2: CgroupLayout[] = LAYOUT.mode === "hybrid" ? [{ mode: "v1", v1: LAYOUT.v1 }] : [];

/** Its pid is another one by the time that it is signalled. */
const RUNS_AWAY = `
#include <unistd.h>
int main(void) { for (;;) if (fork() > 0) _exit(0); }
`;

testIf("what runs away by forking is killed, also where there is no cgroup2 tree", {
  ...ROOT,
  needs: ["root", "gcc"],
}, async () => {
  await using scope = new Scope();
  const program = `${await scope.temporaryDirectory("program")}/runs-away`;
  await Deno.writeTextFile(`${program}.c`, RUNS_AWAY);
  await run(["gcc", "-O2", "-static", "-o", program, `${program}.c`], { check: true });
  for (const layout of [LAYOUT, ...WITHOUT_V2]) {
    for (let round = 0; round < 5; round++) await killRunaway(layout, program);
  }
  assert.deepEqual(left(), []);
});

/** At the first attempt. */
async function killRunaway(layout: CgroupLayout, program: string): Promise<void> {
  const cgroup = planCgroup(layout, `${PARENT}/one`, "one", limits());
  const shell = new Deno.Command("sh", {
    args: ["-c", 'read go; exec "$0"', program],
    stdin: "piped",
  }).spawn();
  const count = () => cgroupProcesses(cgroup.directories).length;
  try {
    makeCgroup(cgroup);
    cgroup.join(shell.pid);
    const stdin = shell.stdin.getWriter();
    await stdin.write(new TextEncoder().encode("go\n"));
    await shell.status;
    await stdin.abort().catch(() => {});
    await killCgroup(cgroup.directories, 0);
    await waitFor(() => count() === 0, { timeoutSeconds: 2, what: `its end (${layout.mode})` });
    await delay(20);
    assert.equal(count(), 0, `it has run away (${layout.mode})`);
  } finally {
    await killCgroup(cgroup.directories);
    await removeCgroup(cgroup.directories);
  }
}

testIf("more processes than descriptors are open at a time are killed together", {
  ...ROOT,
  needs: ["root", "perl"],
}, async () => {
  const [layout = LAYOUT] = WITHOUT_V2;
  const cgroup = planCgroup(layout, `${PARENT}/one`, "one", limits());
  const script = "<STDIN>; for (1..600) { last unless fork } sleep 1000";
  const parent = new Deno.Command("perl", { args: ["-e", script], stdin: "piped" }).spawn();
  try {
    makeCgroup(cgroup);
    cgroup.join(parent.pid);
    const stdin = parent.stdin.getWriter();
    await stdin.write(new TextEncoder().encode("go\n"));
    const count = () => cgroupProcesses(cgroup.directories).length;
    await waitFor(() => count() === 601, { timeoutSeconds: 20, what: "the processes" });
    await killCgroup(cgroup.directories, 0);
    await waitFor(() => count() === 0, { timeoutSeconds: 20, what: "their end" });
    await parent.status;
    await stdin.abort().catch(() => {});
  } finally {
    await killCgroup(cgroup.directories);
    await removeCgroup(cgroup.directories);
  }
  assert.deepEqual(left(), []);
});

testIf("deleting a container leaves its neighbour and their parent alone", ROOT, async () => {
  const first = planCgroup(LAYOUT, `${PARENT}/one`, "one", limits());
  makeCgroup(first);
  const second = planCgroup(LAYOUT, `${PARENT}/two`, "two", limits());
  makeCgroup(second);
  const process = sleeper();
  try {
    second.join(process.pid);
    await killCgroup(first.directories);
    await removeCgroup(first.directories);
    assert.deepEqual(cgroupProcesses(second.directories), [process.pid]);
  } finally {
    process.kill();
    await process.status;
    await removeCgroup(second.directories);
    // The first one made the parent, and could not remove it then.
    await removeCgroup(first.directories);
  }
  assert.deepEqual(left(), []);
});

testIf("a cgroup that is in use is not taken over", ROOT, async () => {
  const cgroup = planCgroup(LAYOUT, `${PARENT}/one`, "one", limits());
  const process = sleeper();
  try {
    makeCgroup(cgroup);
    cgroup.join(process.pid);
    for (const path of [`${PARENT}/one`, PARENT]) {
      assert.throws(
        () => planCgroup(LAYOUT, path, "other", limits()),
        (error: Error) => error instanceof HostError && /in use by/.test(error.message),
      );
    }
  } finally {
    await killCgroup(cgroup.directories);
    await process.status;
    await removeCgroup(cgroup.directories);
  }
  assert.deepEqual(left(), []);
});

testIf("a cgroup that stayed behind empty is taken, whatever its limits were", {
  needs: ["root"],
  skip: LAYOUT.v1.memory === undefined ? "needs the v1 memory controller" : undefined,
}, async () => {
  const MIB = 1024 * 1024;
  const limited = (megabytes: number) =>
    planCgroup(
      LAYOUT,
      `${PARENT}/one`,
      "one",
      limits({ memory: { limit: megabytes * MIB, swap: megabytes * MIB } }),
    );
  const cgroup = limited(64);
  try {
    for (const megabytes of [64, 512, 32]) {
      makeCgroup(limited(megabytes));
      const file = `${LAYOUT.v1.memory}${PARENT}/one/memory.limit_in_bytes`;
      assert.equal(Deno.readTextFileSync(file).trim(), String(megabytes * MIB));
    }
  } finally {
    await removeCgroup(cgroup.directories);
  }
  assert.deepEqual(left(), []);
});

testIf("limits are in force", {
  needs: ["root"],
  skip: ["cpu", "pids", "cpuset"].every((name) => LAYOUT.v1[name] !== undefined)
    ? undefined
    : "needs the v1 cpu, pids and cpuset controllers",
}, async () => {
  const resources = limits({
    cpu: { shares: 256, quota: 30_000, period: 60_000, cpus: "0" },
    pids: { limit: 2 },
  });
  const cgroup = planCgroup(LAYOUT, `${PARENT}/one`, "one", resources);
  const shell = new Deno.Command("sh", {
    args: ["-c", "read go; grep Cpus_allowed_list /proc/self/status; sleep 0 | sleep 0 | sleep 0"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  try {
    makeCgroup(cgroup);
    cgroup.join(shell.pid);
    const stdin = shell.stdin.getWriter();
    await stdin.write(new TextEncoder().encode("go\n"));
    await stdin.close();
    const { stdout, stderr, success } = await shell.output();
    assert.match(new TextDecoder().decode(stdout), /Cpus_allowed_list:\s+0\n/);
    assert.equal(success, false, "a third process was born");
    assert.match(new TextDecoder().decode(stderr), /fork/);
    const cpu = `${LAYOUT.v1.cpu}${PARENT}/one`;
    assert.equal(Deno.readTextFileSync(`${cpu}/cpu.shares`).trim(), "256");
    assert.equal(Deno.readTextFileSync(`${cpu}/cpu.cfs_quota_us`).trim(), "30000");
    assert.equal(Deno.readTextFileSync(`${cpu}/cpu.cfs_period_us`).trim(), "60000");
  } finally {
    await killCgroup(cgroup.directories);
    await removeCgroup(cgroup.directories);
  }
  assert.deepEqual(left(), []);
});

testIf("containers that come and go under one parent at the same time do not meet", {
  ...ROOT,
  timeoutSeconds: 60,
}, async () => {
  const module = new URL("../../lib/cgroups/cgroup.ts", import.meta.url).href;
  const script = `
    import { makeCgroup, planCgroup, removeCgroup } from ${JSON.stringify(module)};
    const [layout, resources] = JSON.parse(Deno.args[0]);
    for (let round = 0; round < 50; round++) {
      const cgroup = planCgroup(layout, Deno.args[1], "x", resources);
      makeCgroup(cgroup);
      for (const { directory } of cgroup.plan.v1) Deno.statSync(directory);
      await removeCgroup(cgroup.directories);
    }`;
  const input = JSON.stringify([LAYOUT, limits()]);
  const children = ["one", "two"].map((name) =>
    new Deno.Command(Deno.execPath(), {
      args: ["eval", "--no-lock", script, input, `${PARENT}/${name}`],
      stderr: "piped",
    }).output()
  );
  for (const { success, stderr } of await Promise.all(children)) {
    assert.ok(success, new TextDecoder().decode(stderr));
  }
  // A parent of one's own choice stays when the container that made it was not the last to leave; it is empty.
  for (const parent of left()) Deno.removeSync(parent);
});

testIf("a parent that others remove whenever it is empty is made again", {
  needs: ["root", "perl"],
  skip: LAYOUT.v1.cpuset === undefined ? "needs the v1 cpuset controller" : undefined,
  timeoutSeconds: 60,
}, async () => {
  await using scope = new Scope();
  // A cpuset's files are read and written on the way: the parent may be removed between open and read.
  const layout = { ...LAYOUT, v1: { cpuset: LAYOUT.v1.cpuset! }, v2: undefined };
  // With pauses: who removes it without any leaves nobody the time for all that there is to do in it.
  const script =
    `alarm 120; while (1) { rmdir "${layout.v1.cpuset}${PARENT}"; select undef, undef, undef, rand(1e-3) }`;
  const child = new Deno.Command("perl", { args: ["-e", script] }).spawn();
  scope.defer("end the other process", async () => {
    child.kill("SIGKILL");
    await child.status;
    for (const parent of left()) Deno.removeSync(parent);
  });
  for (let round = 0; round < 1000; round++) {
    const cgroup = planCgroup(layout, `${PARENT}/one`, "one", limits());
    makeCgroup(cgroup);
    Deno.removeSync(cgroup.plan.v1[0]!.directory);
  }
});

const UNIFIED = LAYOUT.v2;

testIf("cgroup v2: controllers are delegated and limit", {
  needs: ["root"],
  skip: UNIFIED?.controllers.includes("hugetlb")
    ? undefined
    : "needs hugetlb, the one controller that is in v2 here",
}, async () => {
  const v2 = UNIFIED!;
  const control = `${v2.mountPoint}/cgroup.subtree_control`;
  const before = Deno.readTextFileSync(control);
  const resources = limits({ unified: { "hugetlb.2MB.max": "0" } });
  const cgroup = planCgroup({ mode: "v2", v1: {}, v2 }, `${PARENT}/pod/one`, "one", resources);
  const process = sleeper();
  try {
    makeCgroup(cgroup);
    cgroup.join(process.pid);
    assert.ok(membership(process.pid).includes(`${PARENT}/pod/one`));
    const file = `${v2.mountPoint}${PARENT}/pod/one/hugetlb.2MB.max`;
    assert.equal(Deno.readTextFileSync(file).trim(), "0");
  } finally {
    await killCgroup(cgroup.directories);
    await process.status;
    await removeCgroup(cgroup.directories);
    if (!before.includes("hugetlb")) Deno.writeTextFileSync(control, "-hugetlb");
  }
  assert.deepEqual(left(), []);
});
