/** The node's own docker and podman, as Debian sets them up. */
import { type Docker, makeImage } from "../../support/docker.ts";
import { type CommandOptions, run } from "../../support/process.ts";
import type { Scope } from "../../support/scope.ts";

/** A docker or podman of the node's. */
export interface NodeDocker extends Docker {
  /** What its commands start with. */
  argv: string[];
}

/** The node's docker in the shape that the tests of any docker use. */
export function nodeDocker(scope: Scope): NodeDocker {
  return client(scope, {
    argv: ["docker"],
    bundle: (id) => `/run/containerd/io.containerd.runtime.v2.task/moby/${id}`,
  });
}

/** Podman in the same shape; `--runtime` is added, for podman has it before the command. */
export function nodePodman(scope: Scope, runtime = "/usr/local/bin/urunc"): NodeDocker {
  return client(scope, {
    argv: ["podman", "--runtime", runtime],
    bundle: (id) => `/var/lib/containers/storage/overlay-containers/${id}/userdata`,
  });
}

function client(
  scope: Scope,
  { argv, bundle }: Pick<NodeDocker, "argv" | "bundle">,
): NodeDocker {
  const docker = (args: string[], options: CommandOptions = {}) =>
    run([...argv, ...args], { timeoutSeconds: 120, ...options });
  // Registered first, done last: containers that use an image go before it.
  scope.defer(`remove all images of ${argv[0]}`, async () => {
    await docker(["image", "prune", "--all", "--force"], { check: true });
  });
  scope.defer(`remove all containers of ${argv[0]}`, async () => {
    const { stdout } = await docker(["ps", "--all", "--quiet", "--no-trunc"]);
    const ids = stdout.split("\n").filter(Boolean);
    if (ids.length > 0) await docker(["rm", "--force", ...ids], { check: true });
  });
  return {
    argv,
    directory: "/",
    docker,
    onHost: (command, options) => run(command, options),
    makeImage: (...image) => makeImage(scope, docker, ...image),
    async inspect(container) {
      const { stdout } = await docker(["container", "inspect", container], { check: true });
      return JSON.parse(stdout)[0];
    },
    bundle,
  };
}
