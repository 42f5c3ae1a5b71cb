/** Docker's commands that are about cgroups: pause, update, stats, top, limits of devices. */
import assert from "node:assert/strict";
import { DOCKER_NEEDS } from "../../support/docker.ts";
import { guestImage } from "../../support/guest_images.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { logsWith, startWithUrunc } from "./_common.ts";

testIf("docker pauses, updates, lists and measures a container of urunc", {
  needs: [...DOCKER_NEEDS, "gcc"],
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const it = await startWithUrunc(scope, { double: true });
  const { docker, inspect } = it;
  await it.makeImage("guest", guestImage("tcg"));
  const numbers = Array.from({ length: 60 }, (_, number) => `print ${number}; sleep 100;`);
  const limits = ["--memory=128m", "--pids-limit=50"];
  const { stdout } = await docker([
    "run",
    "--detach",
    "--runtime=double",
    ...limits,
    "guest",
    `alloc 40; ${numbers.join(" ")} idle`,
  ], { check: true });
  const id = stdout.trim();
  await logsWith(it, id, "2\n");

  await docker(["pause", id], { check: true });
  assert.equal((await inspect(id)).State.Status, "paused");
  const logs = async () => (await docker(["logs", id], { check: true })).stdout;
  const before = await logs();
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(await logs(), before, "a paused container prints");

  await docker(["update", "--memory=192m", "--memory-swap=400m", "--pids-limit=60", id], {
    check: true,
  });
  const tooSmall = await docker(["update", "--memory=16m", "--memory-swap=16m", id]);
  assert.notEqual(tooSmall.code, 0);
  assert.match(tooSmall.stderr, /less than the guest, whose memory is fixed/);

  await docker(["unpause", id], { check: true });
  await logsWith(it, id, `${before.trim().split("\n").length + 3}\n`);
  const top = await docker(["top", id, "-eo", "pid,args"], { check: true });
  // The container's process, and the monitor.
  assert.match(top.stdout, new RegExp(`^\\s*${(await inspect(id)).State.Pid} +urunc-waiter `, "m"));
  assert.match(top.stdout, /^\s*\d+ .* -append /m);
  const stats = await docker(["stats", "--no-stream", "--format", "{{json .}}", id], {
    check: true,
  });
  const { MemUsage, PIDs } = JSON.parse(stats.stdout);
  const [, used, limit] = /^([\d.]+)MiB \/ ([\d.]+)MiB$/.exec(MemUsage) ?? [];
  assert.ok(Number(used) >= 40 && Number(used) < 50, MemUsage);
  assert.equal(Number(limit), 192);
  assert.equal(PIDs, "2", "waiter and monitor");

  // Paused containers are stopped and removed, too.
  await docker(["pause", id], { check: true });
  await docker(["rm", "--force", id], { check: true });
});
