/** How programs of Linux guests have ended, as docker, podman, ctr and CRI tell it. */
import { UNDER_TEST } from "../support/docker.ts";
import {
  allCases,
  clientCaller,
  containerdImages,
  criCaller,
  ctrCaller,
  runCases,
  VARIANT_NEEDS,
} from "../support/exit_codes.ts";
import { Pod } from "../support/pod.ts";
import { PODMAN_NEEDS, startPodman } from "../support/podman.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { uruncBinary } from "../support/urunc.ts";
import { assertNothingLeft } from "./containerd/_common.ts";
import { CRI_NEEDS, missingPlugins, startWithCri } from "./containerd/_cri.ts";
import { NEEDS as DOCKER_NEEDS, startWithUrunc } from "./docker/_common.ts";

/** Guests at the same time. */
const LANES = 2;

const timeoutSeconds = 600;

testIf("exit codes of Linux guests: docker, by path and with the shim", {
  needs: [...DOCKER_NEEDS, ...VARIANT_NEEDS],
  timeoutSeconds,
}, async () => {
  await using scope = new Scope();
  const it = await startWithUrunc(scope);
  const client = {
    command: (
      args: string[],
    ) => ["docker", "--host", `unix://${it.directory}/docker.sock`, ...args],
    env: { DOCKER_CONFIG: `${it.directory}/client` },
    makeImage: it.makeImage,
  };
  const callers = [
    clientCaller("docker", client, ["--runtime=urunc"]),
    clientCaller("docker with the shim", client, [`--runtime=${UNDER_TEST}`]),
  ];
  await runCases(scope, "tcg", allCases(callers), LANES);
});

testIf("exit codes of Linux guests: podman", {
  needs: [...PODMAN_NEEDS, ...VARIANT_NEEDS],
  timeoutSeconds,
}, async () => {
  await using scope = new Scope();
  const it = await startPodman(scope, await uruncBinary());
  const client = {
    command: ([verb, ...args]: string[]) =>
      it.command(verb === "run" ? it.runArguments(args) : [verb!, ...args]),
    makeImage: it.makeImage,
  };
  await runCases(scope, "tcg", allCases([clientCaller("podman", client, [])]), LANES);
});

testIf("exit codes of Linux guests: ctr and CRI", {
  needs: [...CRI_NEEDS, ...VARIANT_NEEDS],
  skip: missingPlugins(),
  timeoutSeconds,
}, async () => {
  await using scope = new Scope();
  const it = await startWithCri(scope, false, "kvm");
  const pod = await Pod.run(scope, it);
  const makeImage = containerdImages(it);
  const callers = [ctrCaller(it, makeImage), criCaller(it, pod, makeImage)];
  // The pod has one network, and that one guest at a time.
  await runCases(scope, "tcg", allCases(callers), 1);
  await pod.remove();
  await assertNothingLeft(it);
});
