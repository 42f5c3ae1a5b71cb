/** Ordinary containers on the command line: runc does all of it, with its own words and exit codes. */
import assert from "node:assert/strict";
import { ordinaryBundle } from "../support/ordinary.ts";
import { isAlive, run, waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { urunc, uruncBinary, uruncRoot } from "../support/urunc.ts";

const NEEDS = ["root", "runc", "busybox"];

testIf("an ordinary container: run gives its output and exit code", { needs: NEEDS }, async () => {
  await using scope = new Scope();
  const root = await uruncRoot(scope);
  const bundle = await ordinaryBundle(scope, ["/bin/sh", "-c", "echo out; echo error >&2; exit 9"]);
  const result = await urunc(["run", "--bundle", bundle, "once"], { root });
  assert.deepEqual(result, { code: 9, stdout: "out\n", stderr: "error\n" });
});

testIf("Knative's queue-proxy gets the address of its pod's guest", {
  needs: NEEDS,
}, async () => {
  await using scope = new Scope();
  const root = await uruncRoot(scope);
  const bundle = await ordinaryBundle(scope, ["/bin/sh", "-c", "echo $REDIRECT_IP"], {
    "io.kubernetes.cri.container-name": "queue-proxy",
    // A pod's annotations reach all of its containers.
    "com.urunc.unikernel.hypervisor": "qemu",
  });
  const result = await urunc(["run", "--bundle", bundle, "proxy"], { root });
  assert.deepEqual(result, { code: 0, stdout: "172.16.1.2\n", stderr: "" });
});

testIf("an ordinary container has the caller's limit of open files", {
  needs: NEEDS,
}, async () => {
  await using scope = new Scope();
  const root = await uruncRoot(scope);
  const bundle = await ordinaryBundle(scope, ["/bin/sh", "-c", "ulimit -Sn"]);
  const path = `${bundle}/config.json`;
  const config = JSON.parse(await Deno.readTextFile(path));
  delete config.process.rlimits;
  await Deno.writeTextFile(path, JSON.stringify(config));
  // The caller ends before the program that asks, so that nobody could look at it.
  const script = '(ulimit -Sn 777; "$@" & exit 0) | cat';
  const command = [await uruncBinary(), "--root", root, "run", "--bundle", bundle, "limit"];
  const { stdout, stderr } = await run(["sh", "-c", script, "sh", ...command]);
  assert.equal(stdout, "777\n", stderr);
});

testIf("an ordinary container: create, start, exec, ps, pause, kill, delete", {
  needs: NEEDS,
}, async () => {
  await using scope = new Scope();
  const root = await uruncRoot(scope);
  const bundle = await ordinaryBundle(scope, ["/bin/sleep", "1000"]);
  const pidFile = `${bundle}/pid`;
  const call = (...args: string[]) => urunc(args, { root });
  const state = async () => JSON.parse((await call("state", "idle")).stdout);
  // The container's process keeps the files, so none of ours.
  await run(["sh", "-c", '"$@" >/dev/null 2>&1', "sh", await uruncBinary(), "--root", root, ...[
    "create",
    "--bundle",
    bundle,
    "--pid-file",
    pidFile,
    "idle",
  ]], { check: true });
  const pid = Number(await Deno.readTextFile(pidFile));
  assert.equal((await state()).status, "created");
  await call("start", "idle");
  assert.equal((await state()).pid, pid);
  const exec = await call("exec", "idle", "/bin/sh", "-c", "echo in; exit 4");
  assert.deepEqual([exec.code, exec.stdout], [4, "in\n"], exec.stderr);
  assert.deepEqual(JSON.parse((await call("ps", "--format", "json", "idle")).stdout), [pid]);
  await call("pause", "idle");
  assert.equal((await state()).status, "paused");
  await call("resume", "idle");
  const twice = await call("create", "--bundle", bundle, "idle");
  assert.notEqual(twice.code, 0);
  await call("kill", "idle", "KILL");
  await waitFor(() => !isAlive(pid), { timeoutSeconds: 10, what: "the container to end" });
  assert.equal((await call("delete", "idle")).code, 0);
  assert.match((await call("state", "idle")).stderr, /does not exist/);
});

testIf("a container that describes a guest is never run by the OCI runtime", {
  needs: NEEDS,
}, async () => {
  await using scope = new Scope();
  const root = await uruncRoot(scope);
  const bundle = await ordinaryBundle(scope, ["/bin/echo", "isolated?"], {
    "com.urunc.unikernel.binary": "/bin/busybox",
  });
  const result = await urunc(["run", "--bundle", bundle, "half"], { root });
  assert.notEqual(result.code, 0);
  assert.equal(result.stdout, "");
  assert.match(result.stderr, /com\.urunc\.unikernel\.unikernelType/);
});
