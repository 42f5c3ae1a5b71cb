/** Docker as the tests start it, with runc: when this fails, the other tests here say nothing. */
import assert from "node:assert/strict";
import { busyboxFiles, DOCKER_NEEDS, startDocker } from "../../support/docker.ts";
import { assertNoLeaks, takeSnapshot } from "../../support/leaks.ts";
import { readStatus } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";

testIf("docker with runc: logs, exit code, identity, ping, stop, rm, and nothing left", {
  needs: [...DOCKER_NEEDS, "busybox"],
  timeoutSeconds: 180,
}, async () => {
  const before = takeSnapshot();
  {
    await using scope = new Scope();
    const { docker, makeImage, inspect, onHost, bundle } = await startDocker(scope);
    await makeImage("box", busyboxFiles());

    const result = await docker(["run", "--rm", "box", "sh", "-c", "echo hello; exit 7"]);
    assert.deepEqual([result.code, result.stdout], [7, "hello\n"], result.stderr);

    const id = (await docker([
      "run",
      "--detach",
      "--user=65534:65534",
      "--group-add=108",
      "box",
      "sh",
      "-c",
      "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done",
    ], { check: true })).stdout.trim();
    const { State, NetworkSettings } = await inspect(id);
    assert.equal(State.Status, "running");
    const status = readStatus(State.Pid);
    assert.deepEqual(status.uids, [65534, 65534, 65534, 65534]);
    const config = JSON.parse(await Deno.readTextFile(`${bundle(id)}/config.json`));
    assert.deepEqual(status.groups, config.process.user.additionalGids.toSorted());

    const address = NetworkSettings.IPAddress;
    await onHost(["ping", "-c", "1", "-W", "5", address], { check: true });
    await docker(["stop", "--time", "5", id], { check: true });
    assert.equal((await inspect(id)).State.ExitCode, 5);
    assert.equal((await docker(["logs", id])).stdout, "ready\n");
    await docker(["rm", id], { check: true });
    assert.equal((await docker(["ps", "--all", "--quiet"])).stdout, "");
  }
  assertNoLeaks(before, takeSnapshot(), /docker|containerd|host file/);
});
