/** `docker run -it` with the executable as runtime and as shim, from a terminal like a person's. */
import assert from "node:assert/strict";
import { guestImage } from "../../support/guest_images.ts";
import { waitFor } from "../../support/process.ts";
import { Terminal } from "../../support/pty.ts";
import { Scope } from "../../support/scope.ts";
import { SEEN, sitAtEcho } from "../../support/sitting.ts";
import { testIf } from "../../support/skip.ts";
import { AS_NOBODY, NEEDS, startWithUrunc } from "./_common.ts";

testIf("docker run -it: keys, lines, size, exit code, and the terminal afterwards", {
  needs: NEEDS,
  timeoutSeconds: 180,
}, async () => {
  await using scope = new Scope();
  const it = await startWithUrunc(scope);
  await it.makeImage("guest", guestImage("tcg"));
  // The shim knows what the monitor's exit code means; docker with runc's shim shows it as it is.
  for (const runtime of ["urunc", "io.containerd.urunc.v2"]) {
    const name = runtime.replaceAll(".", "-");
    const exitCode = await sitAtEcho({
      command: [
        ...["docker", "--host", `unix://${it.directory}/docker.sock`],
        ...["run", "-it", `--runtime=${runtime}`, `--name=${name}`, ...AS_NOBODY, "guest", "echo"],
      ],
      env: { DOCKER_CONFIG: `${it.directory}/client` },
      pid: async () => (await it.inspect(name)).State.Pid,
      bootSeconds: 60,
    });
    assert.equal(exitCode, 5, runtime);
    assert.equal((await it.docker(["logs", name])).stdout, SEEN);
    await it.docker(["rm", name], { check: true });
  }
});

testIf("docker run -t --detach, then attach: the same terminal", {
  needs: NEEDS,
  timeoutSeconds: 180,
}, async () => {
  await using scope = new Scope();
  const it = await startWithUrunc(scope);
  await it.makeImage("guest", guestImage("tcg"));
  const flags = ["-it", "--detach", "--runtime=urunc", "--name=later", ...AS_NOBODY];
  await it.docker(["run", ...flags, "guest", "echo"], { check: true });
  const terminal = new Terminal(scope);
  const before = terminal.modes();
  const { ended } = terminal.spawn(scope, [
    ...["docker", "--host", `unix://${it.directory}/docker.sock`, "attach", "later"],
  ], { env: { DOCKER_CONFIG: `${it.directory}/client` } });
  await waitFor(() => terminal.modes() !== before, { timeoutSeconds: 20, what: "docker attach" });
  await terminal.master.type("still here\r");
  await terminal.master.waitForText("still here\r\n");
  // Docker's own keys: detach, and leave the guest running.
  await terminal.master.type("\x10\x11");
  await ended;
  assert.equal(terminal.modes(), before);
  assert.equal((await it.inspect("later")).State.Running, true);
  assert.match((await it.docker(["logs", "later"])).stdout, /^echo\r\nstill here\r\n/);
  await it.docker(["rm", "--force", "later"], { check: true });
});
