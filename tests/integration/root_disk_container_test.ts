/** The container's root as the guest's disk: the hand-over, and what a hostile monitor can do. */
import assert from "node:assert/strict";
import { heldMountNamespace } from "../support/mount_namespace.ts";
import { run, waitFor } from "../support/process.ts";
import {
  assertReleased,
  isMountPoint,
  putOnDisk,
  ROOT_DISK_ANNOTATION,
  ROOT_DISK_NEEDS,
} from "../support/root_disk.ts";
import {
  assertFailed,
  assertNothingLeft,
  assertSucceeded,
  doubleContainer,
  nodeDoubleContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { withoutBinary } from "../support/without.ts";

const NEEDS = [...ROOT_DISK_NEEDS, "gcc"];

const [EPERM, ENOENT, EACCES, ENOSPC, EROFS, EBADF] = [1, 2, 13, 28, 30, 9];

async function diskContainer(
  scope: Scope,
  commands: string,
  options: Parameters<typeof doubleContainer>[2] & { readOnly?: boolean; byNode?: boolean } = {},
) {
  const { readOnly = false, byNode = false, ...rest } = options;
  const container = await (byNode ? nodeDoubleContainer : doubleContainer)(scope, commands, {
    annotations: ROOT_DISK_ANNOTATION,
    edit: (config) => config.root = { path: "rootfs", readonly: readOnly },
    ...rest,
  });
  return { container, disk: await putOnDisk(scope, container) };
}

/** Tries to mount the disk as the host would: by a device of its number. */
const mountAgain = async (scope: Scope, device: string) => {
  const directory = await scope.temporaryDirectory("again");
  const result = await run(["mount", "-o", "ro", device, directory]);
  if (result.code === 0) await run(["umount", directory]);
  return result;
};

testIf("create unmounts the root on the host, and it cannot be mounted while the guest runs", {
  needs: NEEDS,
}, async () => {
  await using scope = new Scope();
  const { container, disk } = await diskContainer(scope, "report; idle");
  await container.mustCreate();
  assert.ok(!isMountPoint(container.rootfs));
  assert.match(
    (await mountAgain(scope, disk.device)).stderr,
    /Can't open blockdev|already mounted/,
  );
  assertSucceeded(await container.start());
  const report = await container.report();
  assert.deepEqual(report.dev, []);
  const { major, minor } = disk;
  const disks = report.fds.filter(({ type }) => type === "block")
    .map(({ fd, major, minor, flags }) => ({ fd, major, minor, access: flags & 3 }));
  assert.deepEqual(disks, [{ fd: 3, major, minor, access: 2 }, { fd: 4, major, minor, access: 0 }]);
  assert.match(
    (await mountAgain(scope, disk.device)).stderr,
    /Can't open blockdev|already mounted/,
  );
  await container.kill("KILL");
  const pid = (await container.waitForStatus("stopped")).pid;
  assertSucceeded(await container.delete());
  assertNothingLeft(container, pid);
  // The loop device went with its last user, the monitor; what is in it stayed.
  await assertReleased(disk.file);
  await run(["mount", "-o", "loop", disk.file, container.rootfs], { check: true });
  assert.ok(Deno.statSync(`${container.rootfs}/urunc.json`).isFile);
});

testIf("a hostile monitor reaches its own disk, to its end, and no other device", {
  needs: [...NEEDS, "kvm"],
}, async () => {
  await using scope = new Scope();
  const other = await diskContainer(scope, "idle");
  const last = 32 * 1024 * 1024;
  const { minor } = other.disk;
  // A Linux kernel hands its init 32 words at most.
  const tries = [
    [
      `write-at /dev/disk0 ${last - 1} ; write-at /dev/disk0 ${last} ; write-fd 3 ; ` +
      `open ${other.disk.device} rw ; open /dev/vda r ; open /proc/self/fd/3 rw ; idle`,
      [[0], [ENOSPC], [EBADF], [ENOENT], [ENOENT], [ENOENT]],
    ],
    [
      `mknod /dev/other 7 ${minor} ; mknod /other 7 ${minor} ; mknod /guest/other 7 ${minor} ; idle`,
      [[EPERM, EROFS], [EPERM, EROFS], [EPERM, EROFS]],
    ],
  ] as const;
  for (const user of [{ uid: 65534, gid: 65534 }, { uid: 0, gid: 0 }]) {
    for (const [commands, expected] of tries) {
      await using inner = new Scope();
      const { container } = await diskContainer(inner, commands, { user, byNode: true });
      await container.mustStart();
      const answers = await waitFor(() => {
        const all = container.output().split("\n").filter((line) => line.startsWith("{"));
        return all.length === expected.length
          ? all.map((line) => JSON.parse(line).errno)
          : undefined;
      }, { timeoutSeconds: 20, what: "all answers" });
      expected.forEach((codes: readonly number[], index) =>
        assert.ok(codes.includes(answers[index]), `${index}: ${answers}`)
      );
    }
  }
});

testIf("what a hostile monitor has of its disk never leads to the next one of that number", {
  needs: NEEDS,
}, async () => {
  await using scope = new Scope();
  // Gives up the claim, detaches the loop device (LOOP_CLR_FD), and waits for another to come.
  const { container, disk } = await diskContainer(
    scope,
    "close 4; ioctl 3 19457; print detached; sleep 2000; write-fd 3; close 3; sleep 2000; " +
      "write-at /dev/disk0 0; idle",
  );
  await container.mustStart();
  await container.waitForOutput("detached\n");
  const next = `${await scope.temporaryDirectory("next")}/disk`;
  const content = new Uint8Array(1 << 20);
  await Deno.writeFile(next, content);
  const attach = () => run(["losetup", disk.device, next]);
  assert.notEqual((await attach()).code, 0, "its number is its own while it is open");
  // Then it is nobody's, and becomes another container's.
  await waitFor(async () => (await attach()).code === 0 || undefined, {
    timeoutSeconds: 3,
    what: "the number of the device",
  });
  scope.defer("detach it", () => run(["losetup", "--detach", disk.device]));
  await container.waitForOutput(`{"errno":${ENOENT}}\n`);
  await run(["blockdev", "--flushbufs", disk.device]);
  assert.deepEqual(await Deno.readFile(next), content);
});

testIf("a disk that may only be read has a node, and device rules, that say so", {
  needs: [...NEEDS, "kvm"],
}, async () => {
  await using scope = new Scope();
  const commands = "report ; open /dev/disk0 rw ; open /dev/disk0 r ; idle";
  const { container } = await diskContainer(scope, commands, { readOnly: true, byNode: true });
  await container.mustStart();
  const nodes = (await container.report()).dev.filter(({ type }) => type === "block");
  assert.deepEqual(nodes.map(({ mode }) => mode & 0o7777), [0o400]);
  const output = await container.waitForOutput(`{"errno":0}\n`);
  const answers = output.split("\n").filter((line) => line.startsWith('{"errno"'));
  assert.deepEqual(answers.map((line) => JSON.parse(line).errno), [EACCES, 0]);
});

testIf("a root that another process has mounted too is not handed over, and the process is named", {
  needs: [...NEEDS, "unshare"],
}, async () => {
  await using scope = new Scope();
  const { container } = await diskContainer(scope, "print written; idle");
  const pid = await heldMountNamespace(scope, "private");
  const result = await container.create();
  assertFailed(result, [
    "hand over the root disk",
    `pid ${pid} (sleep) has it mounted at ${container.rootfs}`,
    "the guest was not started",
  ]);
  assert.ok(!container.exists());
  // A caller that cleans up finds its mount gone, which umount says and callers ignore.
  Deno.kill(pid, "SIGTERM");
  await waitFor(() => !processExists(pid), { timeoutSeconds: 10, what: `process ${pid} to end` });
});

testIf("without its steps the hand-over is refused: each is needed", {
  needs: [...NEEDS, "unshare"],
  timeoutSeconds: 300,
}, async () => {
  await using scope = new Scope();
  const binary = await withoutBinary(scope);
  for (
    const [step, error] of [
      // It is mounted still: in the container's namespace, which ends with the failure, or the host's.
      ["unmountRootfs", /hand over the root disk .*: the host still uses it/],
      ["releaseRootfs", /claimRootDisk.*EBUSY/],
      ["openRootDisk", /claimRootDisk/],
      ["claimRootDisk", undefined],
    ] as const
  ) {
    await using inner = new Scope();
    const { container, disk } = await diskContainer(inner, "report; idle", { binary });
    const { code, stderr } = await container.create({ env: { URUNC_WITHOUT: step } });
    if (error !== undefined) {
      assert.notEqual(code, 0, step);
      assert.match(stderr, error, `${step}: ${stderr}`);
      continue;
    }
    // Without the claim nothing fails: what it is for does.
    assert.equal(code, 0, stderr);
    assert.equal((await mountAgain(inner, disk.device)).code, 0);
  }
});

testIf("a root that is not a disk is rejected by the key's name, and nothing is made", {
  needs: ["root", "gcc"],
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle", { annotations: ROOT_DISK_ANNOTATION });
  assertFailed(await container.create(), ["com.urunc.unikernel.mountRootfs", "no mount"]);
  assert.ok(!container.exists());
});

testIf("100 rounds leave the device's owner, mode and access list, and all devices, unchanged", {
  needs: [...NEEDS, "getfacl"],
  timeoutSeconds: 300,
}, async () => {
  await using scope = new Scope();
  const { container, disk } = await diskContainer(scope, "write-fd 3; exit 0");
  // Held by the test, so that it is one and the same device in all rounds.
  const held = await Deno.open(disk.device);
  scope.defer("close the device", () => held.close());
  const before = await deviceFacts();
  for (let round = 0; round < 100; round++) {
    if (round > 0) await run(["mount", disk.device, container.rootfs], { check: true });
    const { code, stderr } = await container.run();
    assert.equal(code, 0, `round ${round}: ${stderr}`);
    assert.ok(!isMountPoint(container.rootfs));
  }
  const after = await deviceFacts();
  // Others' loop devices come and go.
  for (const [name, facts] of before) assert.equal(after.get(name) ?? facts, facts);
  assert.ok(after.has(disk.device));
  assertNothingLeft(container);
});

/** Owner, mode, access list of each block device's node, and device mapper's tables where it is. */
async function deviceFacts(): Promise<Map<string, string>> {
  const nodes = [...Deno.readDirSync("/dev")].map(({ name }) => `/dev/${name}`)
    .filter((path) => Deno.statSync(path).isBlockDevice).sort();
  const { stdout } = await run(["getfacl", "--absolute-names", "--numeric", ...nodes]);
  const facts = new Map(
    stdout.split("\n\n").map((it) => [/^# file: (.*)$/m.exec(it)?.[1] ?? "", it]),
  );
  const tables = await run(["sh", "-c", "dmsetup table 2>/dev/null; true"]);
  return facts.set("device mapper", tables.stdout);
}

function processExists(pid: number): boolean {
  try {
    Deno.statSync(`/proc/${pid}/ns/mnt`);
    return true;
  } catch {
    return false;
  }
}
