/** Further processes in a Linux guest with an agent: `urunc exec`. */
import assert from "node:assert/strict";
import { debianKernel, makeLinuxInitrd } from "../support/fixtures.ts";
import { assertNothingLeft, Container, type ContainerOptions } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const QEMU = {
  needs: ["root", "qemu-system-x86_64", "busybox", "cpio", "apt-get"],
  timeoutSeconds: 180,
};

/** A running guest with an agent, whose program waits. */
async function startGuest(scope: Scope, options: ContainerOptions = {}): Promise<Container> {
  const initrd = await makeLinuxInitrd();
  scope.defer("remove the initrd", () => initrd.cleanup());
  const container = await Container.prepare(scope, {
    unikernelType: "linux",
    kernel: await debianKernel(),
    initrd: initrd.path,
    accelerator: "tcg",
    args: ["busybox", "sh", "-c", "echo up; busybox sleep 1000"],
    env: ["PATH=/bin", "OWN=1"],
    ...options,
    unikernel: { agent: "on", ...options.unikernel },
  });
  await container.mustStart();
  return container;
}

testIf("exec: exit codes, output, input and its end, and who it is", QEMU, async () => {
  await using scope = new Scope();
  const container = await startGuest(scope, {
    user: { uid: 1000, gid: 1001, additionalGids: [7] },
  });
  const exec = (args: string[], input?: string) =>
    container.urunc(["exec", ...args], input === undefined ? {} : { stdin: input });
  const sh = (script: string) => [container.id, "busybox", "sh", "-c", script];

  const first = await exec(sh("echo out; echo err >&2; exit 3"));
  assert.deepEqual([first.code, first.stdout, first.stderr], [3, "out\n", "err\n"]);
  assert.deepEqual(
    await exec([container.id, "busybox", "wc", "-c"], "hello world\n"),
    { ...first, code: 0, stdout: "12\n", stderr: "" },
  );
  const who = await exec([
    ...["--user", "5:6", "--additional-gids", "9", "--cwd", "/bin", "--env", "A=b c"],
    ...sh("busybox id; busybox pwd; echo $OWN $A; busybox ps | busybox grep -c 'slee[p] 1000'"),
  ]);
  assert.equal(who.stdout, "uid=5 gid=6 groups=7,9\n/bin\n1 b c\n1\n");
  const killed = await exec(sh("kill -9 $$"));
  assert.equal(killed.code, 137);

  const missing = await exec([container.id, "nothing"]);
  assert.equal(missing.code, 127);
  assert.match(missing.stderr, /exec: \\?"nothing\\?": executable file not found in \$PATH/);
  const absolute = await exec([container.id, "/no/thing"]);
  assert.match(absolute.stderr, /stat \/no\/thing: no such file or directory/);
  const directory = await exec([container.id, "/bin"]);
  assert.equal(directory.code, 126);
  assert.match(directory.stderr, /exec: \\?"\/bin\\?": permission denied/);
  const nowhere = await exec(["--cwd", "/no/where", ...sh("true")]);
  assert.match(nowhere.stderr, /chdir to cwd \(\\?"\/no\/where\\?"\).*no such file or directory/);
  await container.kill("KILL");
  await container.waitForStatus("stopped");
  const stopped = await exec(sh("true"));
  assert.match(stopped.stderr, /cannot exec in a stopped container/);
  assert.equal((await container.delete()).code, 0);
  assertNothingLeft(container);
});
