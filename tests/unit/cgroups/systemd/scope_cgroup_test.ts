/** The driver, with a bus that answers as the test asks and plain files in the place of cgroups. */
import assert from "node:assert/strict";
import type { CgroupPlan } from "../../../../lib/cgroups/plan.ts";
import {
  delegateMissing,
  startScope,
  stopScope,
  updateScope,
} from "../../../../lib/cgroups/systemd/scope_cgroup.ts";
import { HostError } from "../../../../lib/errors.ts";
import type { SystemdEndpoint } from "../../../../lib/cgroups/systemd/manager.ts";
import { type Action, FakeBus, type Script } from "../../protocol/dbus/_fake_bus.ts";

const UNIT = "docker-1.scope";
const JOB = "/org/freedesktop/systemd1/job/7";
const PID = 42;

const DONE: Action[] = [
  { reply: { signature: "o", body: [JOB] } },
  {
    signal: {
      path: "/org/freedesktop/systemd1",
      interface: "org.freedesktop.systemd1.Manager",
      member: "JobRemoved",
      signature: "uoss",
      body: [7, JOB, UNIT, "done"],
    },
  },
];
const EXISTS: Action[] = [{ error: "org.freedesktop.systemd1.UnitExists", text: "it is loaded" }];
const EMPTY: Action[] = [{ reply: { body: [] } }];

interface Host {
  plan: CgroupPlan;
  endpoint: SystemdEndpoint;
  /** Methods of systemd that were called, with their first argument. */
  calls: () => Promise<string[]>;
}

async function onHost(
  processes: number[],
  calls: Script["calls"],
  test: (host: Host) => void | Promise<void>,
): Promise<void> {
  const mountPoint = await Deno.makeTempDir({ prefix: "urunc-systemd-" });
  try {
    const directory = `${mountPoint}/system.slice/${UNIT}`;
    await Deno.mkdir(directory, { recursive: true });
    await Deno.writeTextFile(
      `${directory}/cgroup.procs`,
      processes.map((it) => `${it}\n`).join(""),
    );
    await Deno.writeTextFile(`${directory}/cgroup.controllers`, "cpuset cpu io memory pids\n");
    await using bus = await FakeBus.listen({ path: `${mountPoint}/bus`, calls });
    const controllers = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"];
    await test({
      plan: { path: `/system.slice/${UNIT}`, v1: [], v2: { mountPoint, directory, controllers } },
      endpoint: {
        booted: mountPoint,
        bus: `unix:path=${mountPoint}/bus`,
        private: `${mountPoint}/private`,
        timeout: 5000,
      },
      calls: async () =>
        (await bus.calls()).filter(({ member }) => member !== "AddMatch" && member !== "Subscribe")
          .map(({ member, body }) => `${member} ${body[0]}`),
    });
  } finally {
    await Deno.remove(mountPoint, { recursive: true });
  }
}

Deno.test("a scope starts with the process in it", async () => {
  await onHost([PID], { StartTransientUnit: [DONE] }, async ({ plan, endpoint, calls }) => {
    startScope(UNIT, plan, [], PID, endpoint);
    assert.deepEqual(await calls(), [`StartTransientUnit ${UNIT}`]);
  });
});

Deno.test("a scope that ended up elsewhere is an error: it is not limited where we write", async () => {
  await onHost([], { StartTransientUnit: [DONE] }, ({ plan, endpoint }) => {
    assert.throws(() => startScope(UNIT, plan, [], PID, endpoint), (error: Error) => {
      assert.ok(error instanceof HostError);
      assert.match(error.message, /process 42 is not in .*docker-1\.scope/);
      return true;
    });
  });
});

Deno.test("a unit of another process is left alone", async () => {
  await onHost([7], { StartTransientUnit: [EXISTS] }, async ({ plan, endpoint, calls }) => {
    assert.throws(
      () => startScope(UNIT, plan, [], PID, endpoint),
      /exists, and process 7 is in it/,
    );
    assert.deepEqual(await calls(), [`StartTransientUnit ${UNIT}`]);
  });
});

Deno.test("a unit that is ours already counts as created: the first answer was lost", async () => {
  await onHost(
    [PID],
    { StartTransientUnit: [[{ close: true }], EXISTS] },
    ({ plan, endpoint }) => startScope(UNIT, plan, [], PID, endpoint),
  );
});

Deno.test("an empty unit is replaced", async () => {
  const script = {
    StartTransientUnit: [EXISTS, DONE],
    StopUnit: [DONE],
    ResetFailedUnit: [EMPTY],
  };
  await onHost([], script, async ({ plan, endpoint, calls }) => {
    assert.throws(() => startScope(UNIT, plan, [], PID, endpoint), /process 42 is not in/);
    assert.deepEqual(await calls(), [
      `StartTransientUnit ${UNIT}`,
      `StopUnit ${UNIT}`,
      `ResetFailedUnit ${UNIT}`,
      `StartTransientUnit ${UNIT}`,
    ]);
  });
});

Deno.test("a unit that stays is an error after one more attempt", async () => {
  const script = { StartTransientUnit: [EXISTS], StopUnit: [DONE], ResetFailedUnit: [EMPTY] };
  await onHost([], script, async ({ plan, endpoint, calls }) => {
    assert.throws(() => startScope(UNIT, plan, [], PID, endpoint), /UnitExists/);
    assert.equal((await calls()).length, 4);
  });
});

Deno.test("a controller that systemd does not manage is delegated when a limit needs it", async () => {
  await onHost([PID], {}, ({ plan }) => {
    const { mountPoint, directory } = plan.v2!;
    const control = (path: string) => `${path}/cgroup.subtree_control`;
    delegateMissing(plan, [{ file: `${directory}/memory.max`, value: "1" }]);
    assert.throws(() => Deno.statSync(control(mountPoint)), Deno.errors.NotFound);
    delegateMissing(plan, [{ file: `${directory}/hugetlb.2MB.max`, value: "1" }]);
    assert.equal(Deno.readTextFileSync(control(mountPoint)), "+hugetlb");
    assert.equal(Deno.readTextFileSync(control(`${mountPoint}/system.slice`)), "+hugetlb");
    // A process is in it: it must not hand anything down.
    assert.throws(() => Deno.statSync(control(directory)), Deno.errors.NotFound);
  });
});

Deno.test("changed limits are passed to systemd, except unknown ones", async () => {
  await onHost([PID], { SetUnitProperties: [EMPTY] }, async ({ endpoint, calls }) => {
    updateScope(UNIT, [{ file: "/cg/a/hugetlb.2MB.max", value: "1" }], endpoint);
    assert.deepEqual(await calls(), []);
    updateScope(UNIT, [{ file: "/cg/a/memory.max", value: "1" }], endpoint);
    assert.deepEqual(await calls(), [`SetUnitProperties ${UNIT}`]);
  });
});

Deno.test("a scope that cannot be stopped is a warning: the container must be removable", async () => {
  const denied: Action[] = [{ error: "org.freedesktop.DBus.Error.AccessDenied", text: "no" }];
  await onHost([], { StopUnit: [denied] }, ({ endpoint }) => {
    const [warning, ...more] = stopScope(UNIT, endpoint);
    assert.match(warning!, /stop docker-1\.scope: no/);
    assert.deepEqual(more, []);
  });
  const nowhere = {
    booted: "/",
    bus: "unix:path=/nonexistent",
    private: "/nonexistent",
    timeout: 0,
  };
  assert.equal(stopScope(UNIT, nowhere).length, 1);
});
