/**
 * Leaves guests running, all named `rebooted`: one of docker, one of podman, and one that only
 * urunc knows of. For tests that then reboot the node.
 */
import { makeBundle } from "../../support/fixtures.ts";
import { guestImage } from "../../support/guest_images.ts";
import { run, waitFor } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { nodeDocker, nodePodman } from "./_docker.ts";
import { startIdle } from "./_guests.ts";

const NAME = "rebooted";

// Never disposed of: the containers are to stay.
const scope = new Scope();
const docker = nodeDocker(scope);
const podman = nodePodman(scope);
await docker.makeImage("guest", guestImage("kvm"));
await podman.makeImage("guest", guestImage("kvm"));
await startIdle(docker, ["--runtime=urunc", `--name=${NAME}`]);
await startIdle(podman, [`--name=${NAME}`]);

const { bundle } = await makeBundle({ args: ["idle"], accelerator: "kvm" });
const output = `${bundle}/output`;
const script = 'urunc create --bundle "$1" "$2" >"$3" 2>&1 </dev/null && urunc start "$2"';
await run(["sh", "-c", script, "sh", bundle, NAME, output], { check: true });
await waitFor(() => Deno.readTextFileSync(output).includes("idle"), {
  timeoutSeconds: 60,
  what: "the guest of urunc",
});
console.log("docker podman urunc");
