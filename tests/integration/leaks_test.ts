import assert from "node:assert/strict";
import { assertNoLeaks, findLeaks, takeSnapshot } from "../support/leaks.ts";
import { RUN_MARK, RUN_VARIABLE } from "../support/mark.ts";
import { readCommandLine, run, waitFor } from "../support/process.ts";
import { readCgroupLayout } from "../../lib/cgroups/layout.ts";
import { Scope } from "../support/scope.ts";
import { findProgram, testIf } from "../support/skip.ts";

/** In a node nobody else is there: everything is the tests'. */
const options = {
  needs: ["root", "ip", "unshare", "losetup", "chroot", "busybox"],
  inNode: false as const,
};

testIf("leaks: nothing done, nothing left", {}, () => {
  const snapshot = takeSnapshot();
  assertNoLeaks(snapshot, snapshot);
});

testIf("leaks: what a test makes is seen, and seen to go", options, async () => {
  const before = takeSnapshot();
  {
    await using scope = new Scope();
    await makeOfEachKind(scope, RUN_MARK, await scope.temporaryDirectory("leaks"));
    const kinds = findLeaks(before, takeSnapshot()).map((it) => it.split(":")[0]!).sort();
    assert.deepEqual(kinds, [
      "cgroup left",
      "loop device left",
      "mount left",
      "network link left",
      ...Array(4).fill("process left"),
      "temporary file left",
    ]);
  }
  assertNoLeaks(before, takeSnapshot());
});

testIf("leaks: what others make meanwhile is not", options, async () => {
  const before = takeSnapshot();
  await using scope = new Scope();
  const directory = await Deno.makeTempDir({ prefix: "somebody-elses-" });
  scope.defer(`remove ${directory}`, () => Deno.remove(directory, { recursive: true }));
  await makeOfEachKind(scope, `x${crypto.randomUUID().slice(0, 6)}`, directory);
  const running = `/run/containerd-${directory.slice(-8)}`;
  await Deno.mkdir(`${running}/of-theirs`, { recursive: true });
  scope.defer(`remove ${running}`, () => Deno.remove(running, { recursive: true }));
  assertNoLeaks(before, takeSnapshot());
});

testIf("leaks: a host file's new mode is seen", {}, () => {
  const before = takeSnapshot();
  const after = takeSnapshot();
  const files = after["host file"];
  const was = files?.get("/tmp") ?? "";
  files?.set("/tmp", was.replace("1777", "0777"));
  assert.notEqual(files?.get("/tmp"), was);
  assert.ok(
    findLeaks(before, after).includes(
      `host file changed: /tmp was ${was}, is ${was.replace("1777", "0777")}`,
    ),
  );
});

/**
 * Makes what can be left behind, with a mark; it goes with the scope. Nothing is inherited from the test.
 *
 * @param directory where its files are: its name bears the mark, or nothing of this run's
 */
async function makeOfEachKind(scope: Scope, mark: string, directory: string): Promise<void> {
  const must = (...argv: string[]) => run(argv, { check: true });
  await Deno.mkdir(`${directory}/mount`);
  await must("mount", "-t", "tmpfs", "none", `${directory}/mount`);
  scope.defer("unmount it", () => must("umount", `${directory}/mount`));
  await must("ip", "tuntap", "add", "name", `ut-${mark}`, "mode", "tap");
  scope.defer("remove the tap", () => must("ip", "link", "del", `ut-${mark}`));
  await must("truncate", "--size=1M", `${directory}/disk`);
  const device = (await must("losetup", "--find", "--show", `${directory}/disk`)).stdout.trim();
  scope.defer("detach the disk", () => must("losetup", "--detach", device));
  const { v1, v2 } = readCgroupLayout();
  const cgroup = `${v1.pids ?? v2!.mountPoint}/urunc-test-leaks-${mark}`;
  await Deno.mkdir(cgroup);
  scope.defer("remove the cgroup", () => removeEmptied(cgroup));

  // Known by its environment, by an argument, by its cgroup, and by what is mounted for it.
  await start(scope, ["sleep", "60"], { env: { [RUN_VARIABLE]: mark } });
  await start(scope, ["sh", "-c", "read -r it; read -r it", mark], {});
  const join = 'read -r it; echo 0 >"$it/cgroup.procs"; exec sleep 60';
  await start(scope, ["sh", "-c", join], { stdin: cgroup });
  await Deno.copyFile(findProgram("busybox")!, `${directory}/sleep`);
  const bind = 'read -r it; mount --bind "$it" "$it"; exec chroot "$it" /sleep 60';
  await start(scope, ["unshare", "--mount", "sh", "-c", bind], { stdin: directory });
}

async function start(
  scope: Scope,
  argv: [string, ...string[]],
  { env, stdin = "" }: { env?: Record<string, string>; stdin?: string },
): Promise<void> {
  const [program, ...args] = argv;
  const path = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
  const child = new Deno.Command(program, {
    args,
    env: { ...path, ...env },
    clearEnv: true,
    stdin: "piped",
    stdout: "null",
  }).spawn();
  const writer = child.stdin.getWriter();
  scope.defer(`end ${program}`, async () => {
    child.kill("SIGKILL");
    await child.status;
    await writer.close().catch(() => {});
  });
  await writer.write(new TextEncoder().encode(`${stdin}\n`));
  const last = argv.at(-1)!;
  await waitFor(() => {
    const [first, ...rest] = readCommandLine(child.pid);
    return first?.endsWith("sleep") || (program === "sh" && stdin === "" && rest.includes(last));
  }, { timeoutSeconds: 5, what: `${program} to run` });
}

/** Killed processes leave a little later. */
async function removeEmptied(cgroup: string): Promise<void> {
  await waitFor(() => Deno.remove(cgroup).then(() => true, () => false), {
    timeoutSeconds: 5,
    what: `${cgroup} to be empty`,
  });
}
