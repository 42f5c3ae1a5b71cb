/** Further processes of guests with an agent, as ctr has them. */
import assert from "node:assert/strict";
import { CONTAINERD_NEEDS, startContainerd } from "../../support/containerd.ts";
import { linuxImage } from "../../support/guest_images.ts";
import { waitFor } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { assertNothingLeft, collectEvents, LINUX } from "./_common.ts";

const GUEST_NEEDS = ["qemu-system-x86_64", "busybox", "cpio", "apt-get"];
const sh = (script: string) => ["busybox", "sh", "-c", script];
const linux = (scope: Scope) => linuxImage(scope, "tcg", { moduleTree: true }, { agent: "on" });

testIf("ctr task exec in a guest: files, codes, signals, ids and events", {
  needs: [...CONTAINERD_NEEDS, ...GUEST_NEEDS],
  timeoutSeconds: 90,
}, async () => {
  await using scope = new Scope();
  const it = await startContainerd(scope);
  const events = await collectEvents(scope, it);
  await it.makeImage(LINUX, await linux(scope));
  await it.ctrRun(
    ["--detach", "--env=PATH=/bin", "--null-io"],
    LINUX,
    "box",
    sh("exec busybox sleep 1000"),
    {
      check: true,
    },
  );
  const exec = (id: string, command: string[], stdin = "") =>
    it.ctr(["task", "exec", "--exec-id", id, "box", ...command], { stdin, timeoutSeconds: 30 });

  const first = await exec("first", sh("busybox cat; echo err >&2; exit 7"), "hello world\n");
  assert.deepEqual([first.code, first.stdout, first.stderr], [7, "hello world\n", "err\n"]);
  const missing = await exec("missing", ["/no/such"]);
  assert.match(missing.stderr, /exec failed: .*: "\/no\/such": .*no such file or directory/);

  const sleeping = exec("sleeps", sh("trap 'exit 9' TERM; while :; do busybox sleep 0.1; done"));
  const ps = () => it.ctr(["task", "ps", "box"], { check: true });
  await waitFor(async () => /sleeps/.test((await ps()).stdout), {
    timeoutSeconds: 20,
    what: "the process in the list",
  });
  assert.match((await exec("sleeps", ["busybox", "true"])).stderr, /already exists/);
  await it.ctr(["task", "kill", "--exec-id", "sleeps", "--signal", "SIGTERM", "box"], {
    check: true,
  });
  assert.equal((await sleeping).code, 9);

  // It ends with the guest, and before it.
  const rest = exec("rest", ["busybox", "sleep", "1000"]);
  await waitFor(async () => /rest/.test((await ps()).stdout), { timeoutSeconds: 20, what: "it" });
  await it.ctr(["task", "kill", "--signal", "SIGKILL", "box"], { check: true });
  assert.equal((await rest).code, 137);
  await waitFor(async () => (await it.ctr(["task", "delete", "box"])).code !== 1, {
    timeoutSeconds: 20,
    what: "its deletion",
  });
  const ran = ["/tasks/exec-added", "/tasks/exec-started", "/tasks/exit"];
  await events.expect("box", [
    ...["/tasks/create", "/tasks/start", ...ran, "/tasks/exec-added", ...ran, ...ran],
    ...["/tasks/exit", "/tasks/delete"],
  ]);
  await it.ctr(["containers", "delete", "box"], { check: true });
  await assertNothingLeft(it);
});
