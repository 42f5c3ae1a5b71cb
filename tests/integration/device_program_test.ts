/** Device rules of cgroup v2: the program that the kernel asks, on a real cgroup and real nodes. */
import assert from "node:assert/strict";
import {
  BPF_CGROUP_DEVICE,
  bpfProgGetFdById,
  bpfProgLoad,
  bpfProgName,
  bpfProgQuery,
  close,
  LinuxError,
  O_DIRECTORY,
  O_RDONLY,
  open,
} from "../../ffi/linux.ts";
import { readCgroupLayout } from "../../lib/cgroups/layout.ts";
import { DEVICE_STEPS } from "../../lib/launch/steps/devices.ts";
import type { PerformContext } from "../../lib/launch/context.ts";
import type { AllowedDevice } from "../../lib/cgroups/device_program.ts";
import { run } from "../support/process.ts";
import {
  assertNothingLeft,
  assertSucceeded,
  type CreateCall,
  doubleContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { RUN_PREFIX } from "../support/mark.ts";

const LAYOUT = readCgroupLayout();
const SKIP = LAYOUT.v2 === undefined ? "needs a cgroup2 tree" : undefined;
const ROOT = { needs: ["root"], skip: SKIP };

const NULL: AllowedDevice = { type: "char", major: 1, minor: 3, access: "rw" };
const ZERO: AllowedDevice = { type: "char", major: 1, minor: 5, access: "rw" };

/** A cgroup2 directory of this test's own. */
function makeCgroup(scope: Scope): string {
  const path = `${LAYOUT.v2!.mountPoint}/${RUN_PREFIX}${crypto.randomUUID().slice(0, 13)}`;
  Deno.mkdirSync(path);
  scope.defer(`remove ${path}`, () => Deno.removeSync(path));
  return path;
}

function attach(cgroup: string, allowed: AllowedDevice[]): void {
  DEVICE_STEPS.deviceProgram({ step: "deviceProgram", cgroup, allowed }, {} as PerformContext);
}

/** Names of the programs attached to a cgroup itself. */
function attached(cgroup: string): string[] {
  const directory = open(cgroup, O_RDONLY | O_DIRECTORY);
  try {
    return bpfProgQuery(directory, BPF_CGROUP_DEVICE).map((id) => {
      const program = bpfProgGetFdById(id);
      try {
        return bpfProgName(program);
      } finally {
        close(program);
      }
    });
  } finally {
    close(directory);
  }
}

/** What a process of the cgroup may do: `yes`, or the system's reason. */
async function attempts(cgroup: string, commands: Record<string, string>) {
  const answers: Record<string, string> = {};
  for (const [name, command] of Object.entries(commands)) {
    const script = `echo $$ > ${cgroup}/cgroup.procs; ${command}`;
    const { code, stderr } = await run(["sh", "-c", script]);
    answers[name] = code === 0 ? "yes" : /Operation not permitted/.test(stderr) ? "no" : stderr;
  }
  return answers;
}

testIf("the kernel lets through exactly the devices given", ROOT, async () => {
  await using scope = new Scope();
  const cgroup = makeCgroup(scope);
  const nodes = await scope.temporaryDirectory("nodes");
  const commands = {
    readNull: "cat /dev/null",
    writeNull: "echo > /dev/null",
    readZero: "head -c 1 /dev/zero >&2",
    writeZero: "echo > /dev/zero",
    readRandom: "head -c 1 /dev/random >&2",
    makeNull: `mknod ${nodes}/null c 1 3`,
    makeZero: `mknod ${nodes}/zero c 1 5`,
  };
  attach(cgroup, [NULL, { ...ZERO, access: "wm" }]);
  assert.deepEqual(await attempts(cgroup, commands), {
    readNull: "yes",
    writeNull: "yes",
    readZero: "no",
    writeZero: "yes",
    readRandom: "no",
    makeNull: "no",
    makeZero: "yes",
  });
});

testIf("a container's rules replace those of the one before in the same cgroup", ROOT, async () => {
  await using scope = new Scope();
  const cgroup = makeCgroup(scope);
  const commands = { null: "echo > /dev/null", zero: "echo > /dev/zero" };
  attach(cgroup, [NULL]);
  assert.deepEqual(await attempts(cgroup, commands), { null: "yes", zero: "no" });
  attach(cgroup, [ZERO]);
  assert.deepEqual(await attempts(cgroup, commands), { null: "no", zero: "yes" });
  assert.deepEqual(attached(cgroup), ["urunc_devices"]);
  // Rules of a parent hold as well.
  const child = `${cgroup}/child`;
  Deno.mkdirSync(child);
  scope.defer(`remove ${child}`, () => Deno.removeSync(child));
  attach(child, [NULL, ZERO]);
  assert.deepEqual(await attempts(child, commands), { null: "no", zero: "yes" });
});

testIf("a program that the verifier rejects is reported with its message", ROOT, () => {
  const instructions = new Uint8Array(new ArrayBuffer(8));
  instructions[0] = 0x95; // exit, without an answer in r0
  assert.throws(
    () => bpfProgLoad({ type: 15, instructions, name: "urunc_test" }),
    (error: Error) => {
      assert.ok(error instanceof LinuxError);
      assert.match(error.message, /^bpf load urunc_test: .*R0 !read_ok/);
      return true;
    },
  );
});

/** On a host with both versions: the command sees cgroup2 only, as on a host without version 1. */
const ONLY_V2: CreateCall["wrapper"] = [
  "unshare",
  "--mount",
  "sh",
  "-c",
  'for it in $(sed -n "s/^[^ ]* \\([^ ]*\\) cgroup .*/\\1/p" /proc/mounts); do umount "$it"; done; ' +
  'exec "$@"',
  "sh",
];

testIf("cgroup v2: a container's cgroup is refused every device but its own", {
  needs: ["root", "kvm", "gcc", "unshare"],
  skip: SKIP,
  timeoutSeconds: 60,
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "report /dev/kvm; idle", { configuration: "" });
  const pid = await container.mustStart({ wrapper: ONLY_V2 });
  assert.deepEqual((await container.report()).opens, { "/dev/kvm": { errno: 0 } });

  const cgroup = `${LAYOUT.v2!.mountPoint}/urunc/${container.id}`;
  assert.match(Deno.readTextFileSync(`${cgroup}/cgroup.procs`), new RegExp(`^${pid}$`, "m"));
  const node = `${await scope.temporaryDirectory("nodes")}/kvm`;
  assert.deepEqual(
    await attempts(cgroup, {
      kvm: "exec 3<>/dev/kvm",
      null: "exec 3</dev/null",
      random: "exec 3</dev/random",
      mknod: `mknod ${node} c 10 232`,
    }),
    { kvm: "yes", null: "no", random: "no", mknod: "no" },
  );
  assertSucceeded(await container.delete("--force"));
  assertNothingLeft(container, pid);
});
