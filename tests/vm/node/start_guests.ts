/**
 * Leaves guests running, all named `rebooted`: one of docker, one of podman, and one that only
 * urunc knows of. For tests that then reboot the node.
 */
import { makeBundle } from "../../support/fixtures.ts";
import { run, waitFor } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { type NodeDocker, nodeDocker, nodePodman } from "./_docker.ts";
import { makeGuestImage, startIdle } from "./_guests.ts";

const NAME = "rebooted";

// Never disposed of: the containers are to stay.
const scope = new Scope();

/** The image outlives the node's reboots. */
async function startWith(it: NodeDocker, options: string[]): Promise<void> {
  const { code } = await it.docker(["image", "inspect", "guest"]);
  if (code !== 0) await makeGuestImage(it);
  await startIdle(it, [...options, `--name=${NAME}`]);
}

async function startWithUrunc(): Promise<void> {
  const { bundle } = await makeBundle({ args: ["idle"], accelerator: "kvm" });
  const output = `${bundle}/output`;
  const script = 'urunc create --bundle "$1" "$2" >"$3" 2>&1 </dev/null && urunc start "$2"';
  await run(["sh", "-c", script, "sh", bundle, NAME, output], { check: true });
  await waitFor(() => Deno.readTextFileSync(output).includes("idle"), {
    timeoutSeconds: 180,
    what: "the guest of urunc",
  });
}

await Promise.all([
  startWith(nodeDocker(scope), ["--runtime=urunc"]),
  startWith(nodePodman(scope), []),
  startWithUrunc(),
]);
console.log("docker podman urunc");
