/** What a build of the node's image that is interrupted leaves. */
import assert from "node:assert/strict";
import { isAlive, listPids, readCommandLine, run, waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { APART, removeOld } from "../vm/image.ts";

const needs = ["root", "mount", "setpriv", "unshare"];

testIf("what mounts and starts processes apart leaves neither when it is ended", {
  needs,
}, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("apart");
  await Deno.mkdir(`${directory}/mounted`);
  const script = `mount -t tmpfs none "$1/mounted"
sh -c 'sleep 60; exit 1' "$1/child" &
touch "$1/ready"
wait`;
  const building = new Scope();
  const ended = run([...APART, "sh", "-ec", script, "sh", directory], { scope: building });
  await waitFor(() => Deno.stat(`${directory}/ready`).catch(() => undefined), {
    timeoutSeconds: 20,
    what: "the mount",
  });
  const isChild = (pid: number) => readCommandLine(pid).includes(`${directory}/child`);
  const child = await waitFor(() => listPids().find(isChild), {
    timeoutSeconds: 20,
    what: "the child",
  });
  assert.ok(isAlive(child));
  assert.ok(!Deno.readTextFileSync("/proc/self/mountinfo").includes(directory));

  await building[Symbol.asyncDispose]();
  await waitFor(() => !isAlive(child), { timeoutSeconds: 10, what: "the process to end" });
  assert.equal((await ended).code, 137);
});

testIf("leftovers of an earlier build are removed, or reported", { needs }, async () => {
  await using scope = new Scope();
  const cache = await scope.temporaryDirectory("cache");
  for (const path of ["work-busy/mounted", "work-old/tree", "image-new"]) {
    await Deno.mkdir(`${cache}/${path}`, { recursive: true });
  }
  await Deno.mkdir(`${cache}/image-old`);
  await Deno.utime(`${cache}/image-old`, 0, 0);
  const busy = `${cache}/work-busy/mounted`;
  await run(["mount", "-t", "tmpfs", "none", busy], { check: true });
  scope.defer("unmount", () => run(["umount", busy], { check: true }));

  const said: string[] = [];
  await removeOld(cache, (line) => said.push(line));
  const names = [...Deno.readDirSync(cache)].map((it) => it.name).sort();
  assert.deepEqual(names, ["image-new", "work-busy"]);
  assert.equal(said.length, 1);
  assert.ok(said[0]?.startsWith(`cannot remove ${cache}/work-busy: `), said[0]);
});
