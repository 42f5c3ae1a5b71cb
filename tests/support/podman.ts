/**
 * A podman of the tests' own: private directories, in a network and a mount namespace that live as
 * long as the scope. Podman has no daemon: each command is called there, and so are conmon and the
 * runtime.
 */
import { cgroupProcesses, removeCgroupTree } from "./cgroups.ts";
import { daemon, DETACH_OTHERS } from "./daemon.ts";
import { type ImageFile, makeLayer } from "./image.ts";
import { type CommandOptions, type CommandResult, isAlive, run, waitFor } from "./process.ts";
import type { Scope } from "./scope.ts";
import { RUN_PREFIX } from "./mark.ts";

/** What {@linkcode startPodman} needs of the machine. */
export const PODMAN_NEEDS = ["root", "podman", "conmon", "ip", "unshare", "nsenter"];

/** A podman that is ready. */
export interface Podman {
  /** Where all its files are. */
  directory: string;
  /** `podman ARGS`. */
  podman(args: string[], options?: CommandOptions): Promise<CommandResult>;
  /** The command line of `podman`, for tests that start it themselves. */
  command(args: string[]): string[];
  /** `podman run ARGS`, in the tests' cgroup and without a network. */
  run(args: string[], options?: CommandOptions): Promise<CommandResult>;
  /** The arguments of `run`. */
  runArguments(args: string[]): string[];
  /** Makes a single-layer image out of files and directories on this machine. */
  makeImage(name: string, files: ImageFile[]): Promise<void>;
  /** The container as `podman inspect` sees it. */
  inspect(container: string): Promise<PodmanInspection>;
}

/** The part of `podman inspect` that tests look at. */
export interface PodmanInspection {
  Id: string;
  OCIRuntime: string;
  OCIConfigPath: string;
  State: { Status: string; Running: boolean; Paused: boolean; Pid: number; ExitCode: number };
}

/**
 * Prepares podman; its containers and everything of theirs are removed at the end of the scope.
 *
 * @param runtime path of the executable under test
 * @param flags global options of the runtime, without their dashes
 */
export async function startPodman(
  scope: Scope,
  runtime: string,
  flags: string[] = [],
): Promise<Podman> {
  const directory = await scope.temporaryDirectory("podman");
  const cgroupParent = `/${RUN_PREFIX}podman`;
  scope.defer("remove podman's cgroups", () => removeCgroupTree(cgroupParent));
  const host = await daemon(scope, `${directory}/host.log`, [
    "unshare",
    "--net",
    "--mount",
    "--propagation=private",
    "sh",
    "-c",
    DETACH_OTHERS +
    'mount -t tmpfs tmpfs /run && ip link set lo up && touch "$1/ready" && exec sleep infinity',
    "sh",
    directory,
  ]);
  await waitFor(() => isThere(`${directory}/ready`), {
    timeoutSeconds: 20,
    what: "podman's namespaces",
  });
  scope.defer("end what is left of podman's containers", () => endStragglers(cgroupParent));

  const command = (args: string[]) => [
    ...["nsenter", "--target", `${host.pid}`, "--net", "--mount", "podman"],
    ...["--root", `${directory}/root`, "--runroot", `${directory}/runroot`],
    ...["--tmpdir", `${directory}/tmp`, "--storage-driver=vfs", "--events-backend=file"],
    ...["--network-config-dir", `${directory}/networks`],
    ...["--cgroup-manager=cgroupfs", "--log-level=error"],
    ...["--runtime", runtime, ...flags.map((flag) => `--runtime-flag=${flag}`)],
    ...args,
  ];
  const podman = (args: string[], options: CommandOptions = {}) =>
    run(command(args), { ...options, env: { ...options.env, ...ENVIRONMENT } });
  scope.defer("remove podman's containers", async () => {
    await podman(["rm", "--all", "--force", "--time=0"], { check: true });
  });
  const runArguments = (args: string[]) => [
    "run",
    `--cgroup-parent=${cgroupParent}`,
    "--network=none",
    ...args,
  ];
  return {
    directory,
    podman,
    command,
    run: (args, options) => podman(runArguments(args), options),
    runArguments,
    async makeImage(name, files) {
      await podman(["import", await makeLayer(scope, files), name], { check: true });
    },
    async inspect(container) {
      const { stdout } = await podman(["container", "inspect", container], { check: true });
      return JSON.parse(stdout)[0];
    },
  };
}

/** Debian's podman warns of cgroup v1 with every command. */
const ENVIRONMENT = { PODMAN_IGNORE_CGROUPSV1_WARNING: "1" };

/** They are ours: they are in our cgroup. */
async function endStragglers(cgroupParent: string): Promise<void> {
  const pids = cgroupProcesses(cgroupParent);
  for (const pid of pids) {
    try {
      Deno.kill(pid, "SIGKILL");
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  await waitFor(() => !pids.some(isAlive), {
    timeoutSeconds: 10,
    what: "processes of killed containers to go",
  });
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
