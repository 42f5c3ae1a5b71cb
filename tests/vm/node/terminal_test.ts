/** `run -it` with the node's docker and podman. */
import assert from "node:assert/strict";
import { Scope } from "../../support/scope.ts";
import { SEEN, sitAtEcho } from "../../support/sitting.ts";
import { testIf } from "../../support/skip.ts";
import { nodeDocker, nodePodman } from "./_docker.ts";
import { AS_NOBODY, makeGuestImage } from "./_guests.ts";

const CALLERS = [
  { name: "docker", client: nodeDocker, command: ["docker", "run", "--runtime=urunc"] },
  {
    name: "podman",
    client: nodePodman,
    command: ["podman", "--runtime=/usr/local/bin/urunc", "run"],
  },
];

for (const { name, client, command } of CALLERS) {
  testIf(`${name} run -it: keys, lines, size, exit code, and the terminal afterwards`, {
    needs: ["root", "kvm", name],
    timeoutSeconds: 240,
  }, async () => {
    await using scope = new Scope();
    const it = client(scope);
    await makeGuestImage(it);
    const exitCode = await sitAtEcho({
      command: [...command, "-it", "--name=sit", ...AS_NOBODY, "guest", "echo"],
      pid: async () => (await it.inspect("sit")).State.Pid,
      bootSeconds: 180,
    });
    assert.equal(exitCode, 5);
    assert.equal((await it.docker(["logs", "sit"])).stdout, SEEN);
  });
}
