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
async function stop({ docker, inspect }: Docker, id: string) {
  const { State: { Pid } } = await inspect(id);
  const watch = new Stopwatch();
  await docker(["stop", `--time=${GRACE_SECONDS}`, id], { check: true });
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
  await it.makeImage("deaf", await linuxImage(scope, "tcg", {}));
  const listens = {
    onPowerButton: "echo asked; sleep 3; echo all is saved; poweroff -f",
    script: 'echo "the token has ${#TOKEN} letters"',
  };
  await it.makeImage("listening", await linuxImage(scope, "tcg", listens));

  for (const [signal, number] of [["SIGTERM", 15], ["SIGQUIT", 3], ["SIGRTMIN+3", 37]] as const) {
    const id = await start(it, [`--stop-signal=${signal}`, "elf", "idle"]);
    await logsWith(it, id, "idle");
    const { milliseconds, soon, code } = await stop(it, id);
    assert.ok(soon, `an elf guest and ${signal}: ${milliseconds} ms`);
    assert.equal(code, 128 + number);
  }

  // A waiter that has only begun loses no signal, and a kernel that boots hears nothing.
  for (const image of [["elf", "idle"], ["deaf", "/init"]]) {
    const early = await stop(it, await start(it, image));
    assert.ok(early.soon, `${image} right after start: ${early.milliseconds} ms`);
  }

  const deaf = await start(it, ["deaf", "/init"]);
  await logsWith(it, deaf, "the guest is up");
  // Its network settles for a while: only then it is idle.
  await new Promise((resolve) => setTimeout(resolve, 2500));
  const idle = await stop(it, deaf);
  assert.ok(idle.soon, `a deaf Linux guest: ${idle.milliseconds} ms`);
  assert.equal(idle.code, 143);

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
  await it.docker(["rm", id, deaf], { check: true });
});
