/** `docker stop`: how long it takes, and what the guest was let do. */
import assert from "node:assert/strict";
import { Stopwatch } from "../../support/busy.ts";
import type { Docker } from "../../support/docker.ts";
import { guestImage, linuxImage } from "../../support/guest_images.ts";
import { isAlive } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { AS_NOBODY, logsWith, NEEDS, startWithUrunc } from "./_common.ts";

const SECRET = "s3cret";

/** What an idle guest's owner waits for at most, in milliseconds. */
const SOON = 2000;

/** After that docker kills a guest: longer than a busy machine may take for one that is idle. */
const GRACE_SECONDS = 30;

/** `docker stop`, timed. */
async function stop({ docker, inspect }: Docker, id: string, grace = GRACE_SECONDS) {
  const { State: { Pid } } = await inspect(id);
  const watch = new Stopwatch();
  await docker(["stop", `--time=${grace}`, id], { check: true });
  const milliseconds = watch.milliseconds();
  const soon = !watch.isOver(SOON);
  assert.ok(!isAlive(Pid));
  const { State: { ExitCode } } = await inspect(id);
  return { milliseconds, soon, code: ExitCode };
}

async function start({ docker }: Docker, args: string[]): Promise<string> {
  const run = ["run", "--detach", "--runtime=urunc", ...AS_NOBODY];
  return (await docker([...run, ...args], { check: true })).stdout.trim();
}

testIf("docker stop with urunc: idle guests within two seconds, a busy one in its own time", {
  needs: [...NEEDS, "busybox", "cpio", "apt-get"],
  timeoutSeconds: 240,
}, async () => {
  await using scope = new Scope();
  const it = await startWithUrunc(scope);
  await it.makeImage("elf", guestImage("tcg"));
  await it.makeImage("linux", await linuxImage(scope, "tcg", {}));
  const listens = {
    onPowerButton: "echo asked; sleep 3; echo all is saved; poweroff -f",
    script: 'echo "the token has ${#TOKEN} letters"',
  };
  await it.makeImage("listening", await linuxImage(scope, "tcg", listens, { agent: "none" }));

  for (const [signal, number] of [["SIGTERM", 15], ["SIGQUIT", 3], ["SIGRTMIN+3", 37]] as const) {
    const id = await start(it, [`--stop-signal=${signal}`, "elf", "idle"]);
    await logsWith(it, id, "idle");
    const { milliseconds, soon, code } = await stop(it, id);
    assert.ok(soon, `an elf guest and ${signal}: ${milliseconds} ms`);
    assert.equal(code, 128 + number);
  }

  const shell = (script: string) => [
    ...["--env=PATH=/bin", "linux", "busybox", "sh", "-c"],
    `${script} echo up; while :; do busybox sleep 0.1; done`,
  ];
  // A waiter that has only begun loses no signal, and a guest that boots has no program yet.
  for (const args of [["elf", "idle"], shell("")]) {
    const early = await stop(it, await start(it, args));
    assert.ok(early.soon, `${args} right after start: ${early.milliseconds} ms`);
    assert.equal(early.code, 143);
  }

  const traps = await start(it, shell('trap "echo trapped; exit 3" TERM;'));
  assert.equal(await logsWith(it, traps, "up\n"), "up\n");
  const trapped = await stop(it, traps);
  assert.deepEqual([trapped.soon, trapped.code], [true, 3]);
  assert.equal((await it.docker(["logs", traps])).stdout, "up\ntrapped\n");
  const ignores = await start(it, shell('trap "" TERM;'));
  await logsWith(it, ignores, "up\n");
  const ignored = await stop(it, ignores, 3);
  assert.equal(ignored.code, 137);
  assert.ok(ignored.milliseconds > 2900, "the caller's time");

  const id = await start(it, [`--env=TOKEN=${SECRET}`, "listening", "/init"]);
  const logs = await logsWith(it, id, "the guest is up");
  assert.match(logs, new RegExp(`the token has ${SECRET.length} letters`));
  const { State: { Pid } } = await it.inspect(id);
  assert.ok(!(await Deno.readTextFile(`/proc/${Pid}/cmdline`)).includes(SECRET));
  const listening = await stop(it, id);
  assert.equal(listening.code, 0);
  assert.ok(listening.milliseconds > 3000, `it was cut off after ${listening.milliseconds} ms`);
  const { stdout } = await it.docker(["logs", id]);
  assert.match(stdout, /asked\r?\nall is saved/);
  await it.docker(["rm", id, traps, ignores], { check: true });
});
