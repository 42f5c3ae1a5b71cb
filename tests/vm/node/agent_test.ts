/** How programs of Linux guests have ended, as the node's docker and podman, ctr and CRI tell it. */
import { assertNothingLeft } from "../../e2e/containerd/_common.ts";
import { CRI_NEEDS, missingPlugins, startWithCri } from "../../e2e/containerd/_cri.ts";
import { UNDER_TEST } from "../../support/docker.ts";
import {
  allCases,
  type Case,
  clientCaller,
  containerdImages,
  criCaller,
  ctrCaller,
  type ExitCode,
  failThreeTimesMore,
  runCases,
  VARIANT_NEEDS,
} from "../../support/exit_codes.ts";
import { Pod } from "../../support/pod.ts";
import { run } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { EXIT_CODES_VARIABLE } from "../_inner.ts";
import { type NodeDocker, nodeDocker, nodePodman } from "./_docker.ts";

/** Each caller with each code, or each of them once: a guest boots for a minute or two here. */
const all = Deno.env.get(EXIT_CODES_VARIABLE) === "all";

/** Each caller, code, kernel and kind of root is among these. */
const FEW: [caller: string, code: ExitCode][] = [
  ["docker", 0],
  ["docker with the shim", 137],
  ["podman", 143],
  ["ctr", 126],
  ["ctr", 127],
  ["CRI", 3],
];

const SHIM = "/usr/local/bin/containerd-shim-urunc-v2";

testIf("exit codes of Linux guests: docker, by path and with the shim, podman, ctr and CRI", {
  needs: ["kvm", "docker", "podman", "systemctl", ...CRI_NEEDS, ...VARIANT_NEEDS],
  skip: missingPlugins(),
  timeoutSeconds: all ? 3600 : 900,
}, async () => {
  await using scope = new Scope();
  await Deno.symlink("/usr/local/bin/urunc", SHIM);
  scope.defer("remove the shim's name", () => Deno.remove(SHIM));
  const docker = nodeDocker(scope);
  const containerd = await startWithCri(scope, true, "kvm");
  // Of the pod, and so the kubelet's, who is not here, to end: systemd keeps it.
  const slice = "urunctestpod.slice";
  scope.defer("stop the slice", () => run(["systemctl", "stop", slice], { check: true }));
  const pod = await Pod.run(scope, containerd, { cgroupParent: slice });
  const images = containerdImages(containerd);
  const client = (it: NodeDocker) => ({
    command: (args: string[]) => [...it.argv, ...args],
    makeImage: it.makeImage,
  });
  const dockerClient = client(docker);
  const cases = allCases([
    clientCaller("docker", dockerClient, ["--runtime=urunc"]),
    clientCaller("docker with the shim", dockerClient, [`--runtime=${UNDER_TEST}`]),
    clientCaller("podman", client(nodePodman(scope)), []),
    ctrCaller(containerd, images),
    criCaller(containerd, pod, images),
  ]);
  const few = (it: Case) =>
    FEW.some(([caller, code]) => caller === it.caller.name && code === it.code);
  await runCases(scope, "kvm", all ? cases : cases.filter(few), 1);
  await pod.remove();
  await assertNothingLeft(containerd);
  if (all) await failThreeTimesMore(docker.docker, ["--runtime=urunc"], "cloud-ram", 5000);
});
