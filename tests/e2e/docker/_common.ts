/** What the tests of docker with urunc share. */
import assert from "node:assert/strict";
import { type Docker, DOCKER_NEEDS, startDocker } from "../../support/docker.ts";
import { doubleConfiguration } from "../../support/double.ts";
import { readStatus, waitFor } from "../../support/process.ts";
import type { Scope } from "../../support/scope.ts";
import { uruncBinary } from "../../support/urunc.ts";

/** Docker, and a monitor for it to run. */
export const NEEDS = [...DOCKER_NEEDS, "qemu-system-x86_64"];

/** As unprivileged as Kubernetes' nobody, with the group that /dev/kvm often has. */
export const AS_NOBODY = ["--user=65534:65534", "--group-add=108"];

/** Docker with `urunc`, and with `double`, the same with the test double in QEMU's place. */
export async function startWithUrunc(
  scope: Scope,
  options: { double?: boolean } = {},
): Promise<Docker> {
  const path = await uruncBinary();
  const runtimes: Parameters<typeof startDocker>[1] = { urunc: { path } };
  if (options.double) {
    runtimes.double = { path, runtimeArgs: ["--config", await doubleConfiguration(scope)] };
  }
  return await startDocker(scope, runtimes);
}

/** Both ways to call urunc, `path` as an OCI runtime and `shim`, with that config.toml. */
export async function bothRuntimes(
  config: string,
): Promise<NonNullable<Parameters<typeof startDocker>[1]>> {
  return {
    path: { path: await uruncBinary(), runtimeArgs: ["--config", config] },
    shim: {
      runtimeType: "io.containerd.urunc.v2",
      options: { TypeUrl: "runtimeoptions.v1.Options", ConfigPath: config },
    },
  };
}

/** What the container asks for, of the monitor, seen in /proc by somebody else. */
export async function assertIdentity({ bundle }: Docker, id: string, pid: number): Promise<void> {
  const config = JSON.parse(await Deno.readTextFile(`${bundle(id)}/config.json`));
  const { user } = config.process;
  const status = readStatus(pid);
  assert.deepEqual(status.uids, Array(4).fill(user.uid));
  assert.deepEqual(status.gids, Array(4).fill(user.gid));
  const groups: number[] = user.additionalGids ?? [];
  assert.deepEqual(status.groups, [...new Set(groups)].sort((a, b) => a - b));
  assert.deepEqual(status.capabilities, {
    inheritable: 0n,
    permitted: 0n,
    effective: 0n,
    bounding: 0n,
    ambient: 0n,
  });
  assert.equal(status.noNewPrivs, 1);
}

/** Waits until the container has said something, and gives all that it has said on stdout. */
export async function logsWith({ docker }: Docker, id: string, text: string): Promise<string> {
  return await waitFor(async () => {
    const { stdout, stderr } = await docker(["logs", id]);
    return (stdout + stderr).includes(text) ? stdout : undefined;
  }, { timeoutSeconds: 60, what: `"${text}" in the logs`, intervalMilliseconds: 200 });
}
