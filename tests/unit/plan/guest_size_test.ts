import assert from "node:assert/strict";
import { defaultConfiguration } from "../../../lib/config/parse.ts";
import { HostError } from "../../../lib/errors.ts";
import { planLaunch } from "../../../lib/plan/launch.ts";
import { guestOf } from "../../../lib/guest/families/registry.ts";
import { factsOf, launchInputOf, specOf, stepsNamed } from "../../support/plan_inputs.ts";

const MIB = 1024 * 1024;

Deno.test("guest memory", async (t) => {
  await t.step("boot files that are copied must fit, with a limit and without", () => {
    const kernel = { path: "/kernel", size: 2 ** 40, uid: 0, gid: 0, mode: 0o600 };
    for (const limit of [undefined, -1, 512 * MIB]) {
      const spec = specOf();
      spec.linux.resources.memory.limit = limit;
      const plan = (size: number) =>
        planLaunch(launchInputOf({ spec, facts: factsOf({ kernel: { ...kernel, size } }) }));
      assert.throws(() => plan(2 ** 30), HostError, `${limit}`);
      plan(MIB);
    }
  });
  const memoryOf = (limit: number | undefined) => {
    const spec = specOf();
    spec.linux.resources.memory.limit = limit;
    const { plan } = planLaunch(launchInputOf({ spec }));
    const argv = stepsNamed(plan.steps, "startMonitor")[0]!.argv;
    const size = argv[argv.indexOf("-m") + 1]!;
    return Number(/(\d+)M/.exec(size)![1]);
  };
  await t.step("256 MiB without a limit", () => {
    assert.equal(memoryOf(undefined), 256);
    assert.equal(memoryOf(-1), 256);
  });
  for (const limit of [64, 128, 512, 4096]) {
    await t.step(`less than a limit of ${limit} MiB, and not less than a fifth of it`, () => {
      const memory = memoryOf(limit * MIB);
      assert.ok(memory < limit, `${memory} MiB`);
      assert.ok(memory >= limit / 5, `${memory} MiB`);
    });
  }
  await t.step("a limit that is too small is rejected with the size that is needed", () => {
    assert.throws(() => memoryOf(16 * MIB), (error) => {
      assert.ok(error instanceof HostError);
      const needed = Number(/at least (\d+) MiB\)/.exec(error.message)?.[1]);
      // What the message says is enough must be enough.
      assert.ok(memoryOf(needed * MIB) > 0, error.message);
      return true;
    });
  });
});

Deno.test("a kernel that does not fit is refused with how much it needs", () => {
  const facts = factsOf({
    kernelFormat: { kind: "linuxImage", memoryEnd: 72 * MIB },
    initrd: { path: "/i", size: 3 * MIB, uid: 0, gid: 0, mode: 0o644, isInitramfs: true },
  });
  const memoryOf = (
    limit: number | undefined,
    default_memory_mib = 256,
    agent: "none" | "on" = "none",
  ) => {
    const spec = specOf();
    const unikernel = { ...launchInputOf().unikernel, agent };
    if (limit !== undefined) spec.linux.resources.memory.limit = limit * MIB;
    const configuration = { ...defaultConfiguration(), default_memory_mib };
    const guest = guestOf("linux");
    const { plan } = planLaunch(
      launchInputOf({ spec, facts, guest, configuration, unikernel }),
    );
    const argv = plan.steps.find((step) => step.step === "startMonitor")!.argv;
    return parseInt(argv[argv.indexOf("-m") + 1]!.replace("size=", ""));
  };
  assert.throws(() => memoryOf(100), (error: Error) => {
    assert.match(error.message, /the guest's kernel needs 75 MiB before it runs/);
    const needed = Number(/a memory limit of at least (\d+) MiB/.exec(error.message)?.[1]);
    assert.ok(needed > 100 && needed < 140, error.message);
    assert.ok(memoryOf(needed) >= 75);
    assert.throws(() => memoryOf(needed - 1), HostError);
    return true;
  });
  assert.throws(
    () => memoryOf(undefined, 64),
    /75 MiB.*gets 64 MiB \(set a memory limit, or default/,
  );
  assert.equal(memoryOf(undefined, 75), 75);
  assert.throws(
    () => memoryOf(120, 256, "on"),
    /needs 104 MiB.*, 29 of them for its agent's ports \(set a memory limit of at least 138 MiB, or com.urunc.unikernel.agent "none"/,
  );
  assert.equal(memoryOf(138, 256, "on"), 104);
});

Deno.test("a guest's memory fits into a limit given by cgroup v2's own keys", () => {
  const memoryOf = (resources: unknown) => {
    const spec = specOf({ linux: { namespaces: [{ type: "mount" }], resources } });
    const { plan, memoryBytes } = planLaunch(launchInputOf({ spec }));
    const argv = stepsNamed(plan.steps, "startMonitor")[0]!.argv;
    return { guest: argv[argv.indexOf("-m") + 1], memoryBytes };
  };
  const limited = memoryOf({ memory: { limit: 128 * MIB } });
  assert.ok(limited.memoryBytes <= 128 * MIB && limited.guest !== memoryOf({}).guest);
  assert.deepEqual(memoryOf({ unified: { "memory.max": "128M" } }), limited);
  assert.deepEqual(memoryOf({ unified: { "memory.high": `${128 * MIB}` } }), limited);
  assert.throws(() => memoryOf({ unified: { "memory.max": "1M" } }), {
    name: "HostError",
    message: /linux.resources.unified\["memory.max"\]: the container's memory limit of 1048576/,
  });
});
