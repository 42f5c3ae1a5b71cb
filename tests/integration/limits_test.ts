/** What bounds a monitor that was taken over, without a limit of config.json's. */
import assert from "node:assert/strict";
import { makeBzImage } from "../support/kernels.ts";
import { landlockVersion } from "../../ffi/linux.ts";
import { readCgroupLayout } from "../../lib/cgroups/layout.ts";
import { offersController } from "../../lib/cgroups/plan.ts";
import {
  assertFailed,
  assertSucceeded,
  Container,
  type ContainerOptions,
  doubleContainer,
} from "../support/runtime.ts";
import { run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const needs = ["root", "gcc"];
const skip = offersController(readCgroupLayout(), "pids") ? undefined : "needs the pids controller";

/** Of TCP ports Landlock says it since its fourth version: landlock(7). */
const EACCES = 13;

/** pids(7) of cgroups: what fork(2) says. */
const EAGAIN = 11;

function withPids(limit: number): ContainerOptions {
  return {
    edit: (config) => (config.linux as Record<string, unknown>).resources = { pids: { limit } },
  };
}

testIf("a monitor cannot use up the machine's processes", { needs, skip }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "threads; print done; idle");
  await container.mustStart();
  await container.waitForOutput("done");
  const { errno, threads } = JSON.parse(container.output().split("\n")[0]!);
  assert.equal(errno, EAGAIN);
  assert.ok(threads >= 4 && threads < 40, `${threads} threads were made`);
  assertSucceeded(await container.kill("KILL"));
  await container.waitForStatus("stopped");
});

testIf("a limit on processes that the monitor would die of is refused, with what it needs", {
  needs,
  skip,
}, async () => {
  await using scope = new Scope();
  const refused = await doubleContainer(scope, "idle", withPids(1));
  assertFailed(await refused.create(), [
    "linux.resources.pids.limit",
    "and 1 are allowed",
    /allow at least [45] \(docker, podman: --pids-limit\)/,
  ]);
  await using other = new Scope();
  const container = await doubleContainer(other, "idle", withPids(5));
  await container.mustStart();
  assertFailed(await container.urunc(["update", "--pids-limit", "1", container.id]), [
    "update container",
    "linux.resources.pids.limit",
    "and 1 are allowed",
  ]);
  assertSucceeded(await container.urunc(["update", "--pids-limit", "6", container.id]));
});

testIf("a kernel that only seems large is refused before the monitor reads it", {
  needs,
}, async () => {
  for (
    const [edit, text] of [
      ["maximum_boot_file_mib = 1024", /1610612736 bytes, and maximum_boot_file_mib allows 1024/],
      ["maximum_boot_file_mib = 4096", /the guest's kernel needs 1536 MiB.* gets 256 MiB/],
    ] as const
  ) {
    await using scope = new Scope();
    const container = await doubleContainer(scope, "idle", {
      configuration: `${edit}\naccelerator = "tcg"`,
      unikernel: { unikernelType: "linux", binary: "/sparse" },
    });
    await Deno.writeFile(`${container.rootfs}/sparse`, makeBzImage({}));
    await Deno.truncate(`${container.rootfs}/sparse`, 1536 * 2 ** 20);
    assertFailed(await container.create(), [text]);
  }
});

testIf("QEMU's root has the libraries that it is loaded with, and no others", {
  needs: ["root", "qemu-system-x86_64"],
}, async () => {
  await using scope = new Scope();
  const container = await Container.prepare(scope, { args: ["halt"] });
  await container.mustCreate();
  const { pid } = await container.state();
  const mounts = Deno.readTextFileSync(`/proc/${pid}/mountinfo`).trim().split("\n")
    .map((line) => line.split(" ")[4]!);
  const listed = await run(["ldd", Deno.realPathSync("/usr/bin/qemu-system-x86_64")]);
  const needed = [...listed.stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path!);
  const unwinder = needed.map((path) => path.replace(/\/libc\.so\.\d+$/, "/libgcc_s.so.1"));
  const bound = mounts.filter((path) => /^(\/usr)?\/lib/.test(path));
  assert.deepEqual(
    bound.filter((path) => ![...needed, ...unwinder].includes(path)),
    [],
  );
  assert.deepEqual(needed.filter((path) => !bound.includes(path)), []);
  // Nothing that is not a file: a directory would have more in it.
  for (const path of bound) assert.ok(Deno.statSync(path).isFile, path);
});

testIf("a monitor is confined by Landlock", {
  needs,
  skip: landlockVersion() < 4 ? "needs Landlock of Linux 6.7" : undefined,
}, async () => {
  await using scope = new Scope();
  // Without the filter of system calls, which refuses what would be asked here.
  const container = await doubleContainer(
    scope,
    "connect-port 80; open /guest/kernel r; write /guest/new; print done; idle",
    { configuration: 'accelerator = "tcg"\nseccomp = "off"' },
  );
  await container.mustStart();
  await container.waitForOutput("done");
  const lines = container.output().split("\n").slice(0, 3).map((line) => JSON.parse(line));
  assert.equal(lines[0].errno, EACCES);
  assert.equal(lines[1].errno, 0);
  assert.notEqual(lines[2].errno, 0);
  assertSucceeded(await container.kill("KILL"));
  await container.waitForStatus("stopped");
});
