/** An init that is a fork of its creator. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { run } from "../support/process.ts";
import { doubleContainer } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { entryBinary } from "../support/without.ts";

/** Enough for one in a hundred that fails to be seen. */
const FORKS = 200;

/** As in proc_pid_status(5). */
const NO_SIGNAL = "0000000000000000";

testIf("fork: an init that is a fork of its creator", {
  needs: ["root", "gcc", "setpriv"],
  timeoutSeconds: 240,
}, async () => {
  await using scope = new Scope();
  const binary = await entryBinary(scope, "tests/support/fork_main.ts");
  await forksRun(binary);
  await initHasNothing(binary);
  await isStarted(scope, binary, {}, "a fork");
  // One that dies before its first word is started as a program.
  await isStarted(scope, binary, { URUNC_FORK: "dies" }, "a program");
});

/** V8 runs on in every child, whatever threads of Deno's are there. */
async function forksRun(binary: string): Promise<void> {
  const { stdout } = await run([binary, "forks", String(FORKS)], {
    check: true,
    timeoutSeconds: 120,
  });
  assert.deepEqual(JSON.parse(stdout), { "exit 7": FORKS });
}

/** Init cannot be looked into, and has no handler, file, directory and variable of its creator's. */
async function initHasNothing(binary: string): Promise<void> {
  const user = ["--reuid=65534", "--regid=65534", "--clear-groups"];
  const creator = new Deno.Command("setpriv", {
    args: [...user, binary, "hold"],
    env: { SECRET: "of its caller" },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const { value } = await creator.stdout.pipeThrough(new TextDecoderStream()).getReader().read();
  const pid = Number(value);
  const status = (name: string, of = pid) =>
    new RegExp(`^${name}:\\t(.*)$`, "m").exec(Deno.readTextFileSync(`/proc/${of}/status`))![1]!;
  assert.equal(status("Threads"), "1");
  assert.equal(status("Uid").split("\t")[0], "65534");
  // Otherwise its files in /proc are its own (proc(5)).
  assert.equal(Deno.statSync(`/proc/${pid}/status`).uid, 0);
  assert.equal(Deno.statSync(`/proc/${creator.pid}/status`).uid, 65534);
  assert.equal(status("SigBlk"), NO_SIGNAL);
  assert.equal(status("SigCgt"), NO_SIGNAL);
  assert.notEqual(status("SigCgt", creator.pid), NO_SIGNAL);
  const files = [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => Number(name))
    .filter((fd) => fd > 2).map((fd) => Deno.readLinkSync(`/proc/${pid}/fd/${fd}`));
  const others = files.filter((file) => file !== "/dev/null");
  assert.equal(others.length, 1, others.join(", "));
  assert.match(others[0]!, /^socket:/);
  await creator.stdin.close();
  assert.equal(Deno.readLinkSync(`/proc/${pid}/cwd`), "/");
  assert.match(Deno.readTextFileSync(`/proc/${creator.pid}/environ`), /SECRET/);
  assert.match(Deno.readTextFileSync(`/proc/${pid}/environ`), /^\0*$/);
  // Its creator is gone: so is init.
  assert.equal((await creator.status).code, 1);
}

/** @param kind of the container's init */
async function isStarted(
  scope: Scope,
  binary: string,
  env: Record<string, string>,
  kind: "a fork" | "a program",
): Promise<void> {
  const container = await doubleContainer(scope, "print hello; idle", { binary });
  await container.mustCreate({ env });
  assert.equal(existsSync(`${binary}.init`) ? "a program" : "a fork", kind);
  assert.equal((await container.start()).code, 0);
  await container.waitForOutput("hello");
}
