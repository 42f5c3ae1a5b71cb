/**
 * A docker of the tests' own: dockerd and containerd with private directories, in a network and a
 * mount namespace of their own. Bridge, addresses, firewall rules and mounts die with these, and
 * the machine's own docker, if there is one, never notices.
 */
import { cgroupProcesses, removeCgroupTree } from "./cgroups.ts";
import { daemon, DETACH_OTHERS, waitForSocket } from "./daemon.ts";
import { type ImageFile, makeLayer } from "./image.ts";
import { type CommandOptions, type CommandResult, listPids, run, waitFor } from "./process.ts";
import { findProgram } from "./skip.ts";
import { Scope } from "./scope.ts";
import { uruncBinary } from "./urunc.ts";
import { RUN_PREFIX } from "./mark.ts";

export type { ImageFile };

/** What {@linkcode startDocker} needs of the machine. */
export const DOCKER_NEEDS = [
  "root",
  "dockerd",
  "docker",
  "containerd",
  "runc",
  "iptables",
  "ip",
  "ping",
  "unshare",
  "nsenter",
];

/** The runtime type under which the executable under test is found. */
export const UNDER_TEST = "io.containerd.urunc.v2";

/** An entry of `runtimes` in docker's configuration. */
export type DockerRuntime =
  | { path: string; runtimeArgs?: string[] }
  | { runtimeType: string; options?: Record<string, unknown> };

/** A running docker. */
export interface Docker {
  /** Where all its files are. */
  directory: string;
  /** `docker ARGS`, without any of the caller's docker settings. */
  docker(args: string[], options?: CommandOptions): Promise<CommandResult>;
  /** Runs a command where the daemon is: its network is the "host" of the containers. */
  onHost(argv: string[], options?: CommandOptions): Promise<CommandResult>;
  /** Makes a single-layer image out of files and directories on this machine, with its command. */
  makeImage(name: string, files: ImageFile[], command?: string[]): Promise<void>;
  /** The container as `docker inspect` sees it. */
  inspect(container: string): Promise<DockerInspection>;
  /** The directory of the container's config.json. */
  bundle(containerId: string): string;
}

/** One that a test has started itself. */
export interface StartedDocker extends Docker {
  /** Kills containerd with SIGKILL; dockerd stays. */
  killContainerd(): Promise<void>;
  /** Starts it again. */
  startContainerd(): Promise<void>;
}

/** The part of `docker inspect` that tests look at. */
export interface DockerInspection {
  Id: string;
  State: {
    Status: string;
    Running: boolean;
    Pid: number;
    ExitCode: number;
    OOMKilled: boolean;
    Error: string;
    Health?: { Status: string; Log: { ExitCode: number; Output: string }[] };
  };
  GraphDriver: { Data: { UpperDir: string } };
  NetworkSettings: {
    IPAddress: string;
    Networks: Record<string, { IPAddress: string; GlobalIPv6Address: string }>;
  };
}

/**
 * Starts dockerd and containerd; both are stopped, and everything of theirs removed, at the end of
 * the scope.
 *
 * @param runtimes name → path of a runc-like executable, or of a shim; `runc` is always there, and the
 *   executable under test as the shim of `io.containerd.urunc.v2`
 * @param firstUser with userns-remap: the host's id of uid and gid 0 of containers
 */
export async function startDocker(
  scope: Scope,
  runtimes: Record<string, DockerRuntime> = {},
  firstUser?: number,
): Promise<StartedDocker> {
  const directory = await scope.temporaryDirectory("docker");
  await Deno.mkdir(`${directory}/bin`);
  await Deno.symlink(await uruncBinary(), `${directory}/bin/containerd-shim-urunc-v2`);
  const cgroupParent = `/${RUN_PREFIX}docker`;
  const remap = firstUser === undefined ? {} : { "userns-remap": "nobody:nogroup" };
  await Deno.writeTextFile(`${directory}/daemon.json`, JSON.stringify({ runtimes, ...remap }));
  const delegated = firstUser === undefined
    ? ""
    : ["nobody", "nogroup"].map((name) => `${name}:${firstUser}:65536\n`).join("");
  await Deno.writeTextFile(`${directory}/subids`, delegated);
  await Deno.writeTextFile(`${directory}/containerd.toml`, containerdConfiguration(directory));
  // Runs after both daemons have ended: what is registered first is undone last.
  scope.defer("remove docker's cgroups", () => removeCgroupTree(cgroupParent));

  // Whichever runs by then ends when all that needs it has ended.
  const containerds = new Scope();
  scope.defer("stop containerd", () => containerds[Symbol.asyncDispose]());
  const startContainerd = async (enter: string[]) => {
    const started = await daemon(
      containerds,
      `${directory}/containerd.log`,
      [...enter, "containerd", "--config", `${directory}/containerd.toml`],
      { PATH: `${directory}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin` },
    );
    await waitForSocket(`${directory}/containerd.sock`, started);
    return started;
  };
  let containerd = await startContainerd([
    "unshare",
    "--net",
    "--mount",
    "--propagation=private",
    "sh",
    "-c",
    // Shims put their sockets below /run/containerd whatever they are asked.
    DETACH_OTHERS + "mount -t tmpfs tmpfs /run && ip link set lo up && " +
    'if [ -s "$1" ]; then mount --bind "$1" /etc/subuid && mount --bind "$1" /etc/subgid; fi && ' +
    'shift && exec "$@"',
    "sh",
    `${directory}/subids`,
  ]);
  const into = (pid: number) => ["nsenter", "--target", `${pid}`, "--net", "--mount"];
  scope.defer("end what is left of docker's containers", () => endStragglers(cgroupParent));

  const dockerd = await daemon(scope, `${directory}/dockerd.log`, [
    ...into(containerd.pid),
    "dockerd",
    "--config-file",
    `${directory}/daemon.json`,
    "--data-root",
    `${directory}/data`,
    "--exec-root",
    `${directory}/exec`,
    "--pidfile",
    `${directory}/dockerd.pid`,
    "--host",
    `unix://${directory}/docker.sock`,
    "--containerd",
    `${directory}/containerd.sock`,
    "--exec-opt",
    "native.cgroupdriver=cgroupfs",
    "--cgroup-parent",
    cgroupParent,
    "--bip",
    "10.88.3.1/24",
    "--userland-proxy=false",
  ]);
  await waitForSocket(`${directory}/docker.sock`, dockerd);

  const docker = (args: string[], options: CommandOptions = {}) =>
    run(["docker", "--host", `unix://${directory}/docker.sock`, ...args], {
      ...options,
      env: { ...options.env, DOCKER_CONFIG: `${directory}/client` },
    });
  await waitFor(async () => (await docker(["info"])).code === 0, {
    timeoutSeconds: 30,
    what: "docker to answer",
  });
  scope.defer("remove docker's containers", async () => {
    const { stdout } = await docker(["ps", "--all", "--quiet", "--no-trunc"]);
    const ids = stdout.split("\n").filter(Boolean);
    if (ids.length > 0) await docker(["rm", "--force", ...ids], { check: true });
  });

  return {
    directory,
    docker,
    onHost: (argv, options) => run([...into(dockerd.pid), ...argv], options),
    makeImage: (...image) => makeImage(scope, docker, ...image),
    async inspect(container) {
      const { stdout } = await docker(["inspect", container], { check: true });
      return JSON.parse(stdout)[0];
    },
    bundle: (id) => `${directory}/state/io.containerd.runtime.v2.task/moby/${id}`,
    async killContainerd() {
      Deno.kill(containerd.pid, "SIGKILL");
      await waitFor(() => containerd.hasEnded(), { timeoutSeconds: 10, what: "its end" });
    },
    async startContainerd() {
      containerd = await startContainerd(into(dockerd.pid));
    },
  };
}

function containerdConfiguration(directory: string): string {
  return `version = 2
root = "${directory}/root"
state = "${directory}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "${directory}/containerd.sock"
[ttrpc]
  address = "${directory}/containerd.sock.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "${directory}/opt"
`;
}

/**
 * Kills containers and shims that outlived the daemons. They are ours: they are in our cgroup, or
 * name a container of it.
 */
async function endStragglers(cgroupParent: string): Promise<void> {
  const pids = cgroupProcesses(cgroupParent);
  for (const pid of pids) kill(pid);
  await waitFor(() => !listPids().some((it) => pids.includes(it)), {
    timeoutSeconds: 10,
    what: "processes of killed containers to go",
  });
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Makes a single-layer image with `import` of docker, or of a client that is like it. */
export async function makeImage(
  scope: Scope,
  docker: Docker["docker"],
  name: string,
  files: ImageFile[],
  command?: string[],
): Promise<void> {
  const changes = command === undefined ? [] : ["--change", `CMD ${JSON.stringify(command)}`];
  await docker(["import", ...changes, await makeLayer(scope, files), name], { check: true });
}

/** What the Linux guests' and runc's containers need: every applet is found by its link. */
export function busyboxFiles(): ImageFile[] {
  const source = findProgram("busybox");
  if (source === undefined) throw new Error("busybox is not installed");
  const applets = ["sh", "echo", "sleep", "id", "cat", "trap", "ping"];
  return [
    { path: "/bin/busybox", source, mode: 0o755 },
    ...applets.map((it) => ({ path: `/bin/${it}`, target: "busybox" })),
  ];
}
