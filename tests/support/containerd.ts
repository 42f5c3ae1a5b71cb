/**
 * A containerd of the tests' own: private directories, in a network and a mount namespace that
 * outlive it, so that it can be killed and started again. The machine's own never notices.
 */
import { cgroupProcesses, removeCgroupTree } from "./cgroups.ts";
import { type Daemon, daemon, DETACH_OTHERS, waitForSocket } from "./daemon.ts";
import { type ImageFile, makeLayer } from "./image.ts";
import { type CommandOptions, type CommandResult, listPids, run, waitFor } from "./process.ts";
import type { Scope } from "./scope.ts";
import { uruncBinary } from "./urunc.ts";
import { RUN_PREFIX } from "./mark.ts";

/** What {@linkcode startContainerd} needs of the machine. */
export const CONTAINERD_NEEDS = ["root", "containerd", "ctr", "runc", "ip", "unshare", "nsenter"];

/** The runtime type under which the executable under test is found. */
export const RUNTIME = "io.containerd.urunc.v2";

/** A running containerd. */
export interface Containerd {
  /** Where all its files are. */
  directory: string;
  /** The containerd namespace of all that `ctr` does; also the name of the cgroup. */
  namespace: string;
  /** `ctr ARGS` in that namespace. */
  ctr(args: string[], options?: CommandOptions): Promise<CommandResult>;
  /** `ctr run` with the runtime under test: `--rm` and more are the caller's. */
  ctrRun(
    flags: string[],
    image: string,
    id: string,
    args: string[],
    options?: CommandOptions,
  ): Promise<CommandResult>;
  /** The command line of `ctr`, for whoever starts it by himself. */
  ctrCommand(args: string[]): string[];
  /** The command line of `ctrRun`, likewise. */
  ctrRunCommand(flags: string[], image: string, id: string, args: string[]): string[];
  /** Makes a single-layer image. */
  makeImage(
    name: string,
    files: ImageFile[],
    config?: ImageConfig,
    snapshotter?: string,
  ): Promise<void>;
  /** The same of a layer that is there. */
  importLayer(
    name: string,
    layer: string,
    config?: ImageConfig,
    snapshotter?: string,
  ): Promise<void>;
  /** What the daemon's mount namespace has as `/`, for this process. */
  root: string;
  /** Runs a command where the daemon is. */
  onHost(argv: string[], options?: CommandOptions): Promise<CommandResult>;
  /** The directory of a container's config.json. */
  bundle(id: string): string;
  /** Processes of shims, of any runtime. */
  shims(): number[];
  /** The daemon's log. */
  log(): string;
  /** Kills the daemon with SIGKILL. */
  kill(): Promise<void>;
  /** Starts it again after `kill`. */
  start(): Promise<void>;
}

/** An image's own words on how it is run, as in its OCI configuration. */
export interface ImageConfig {
  Entrypoint?: string[];
  Cmd?: string[];
  User?: string;
}

/** How it is started. */
export interface ContainerdOptions {
  /** The executable that is called as the shim; `dist/urunc` by default. */
  binary?: string;
  /** More of config.toml. */
  configuration?: string;
  /** Content of /etc/urunc/config.toml, as the daemon and its shims see it. */
  uruncConfiguration?: string;
  /**
   * The CRI plugin is loaded, too: images then are in its namespace, cgroups below the returned
   * `namespace` only when a pod asks for it.
   */
  cri?: boolean;
}

/** Starts containerd; everything of it is stopped and removed at the end of the scope. */
export async function startContainerd(
  scope: Scope,
  options: ContainerdOptions = {},
): Promise<Containerd> {
  const directory = await scope.temporaryDirectory("containerd");
  const namespace = `${RUN_PREFIX}${counter++}`;
  const path = `${directory}/bin`;
  await Deno.mkdir(path);
  const shim = `${path}/containerd-shim-urunc-v2`;
  await Deno.symlink(options.binary ?? await uruncBinary(), shim);
  await Deno.mkdir(`${directory}/etc`);
  if (options.uruncConfiguration !== undefined) {
    await Deno.writeTextFile(`${directory}/etc/config.toml`, options.uruncConfiguration);
  }
  await Deno.writeTextFile(`${directory}/config.toml`, configurationOf(directory, options));
  scope.defer("remove containerd's cgroups", () => removeCgroupTree(`/${namespace}`));

  const holder = await daemon(scope, `${directory}/holder.log`, [
    "unshare",
    "--net",
    "--mount",
    "--propagation=private",
    "sh",
    "-c",
    // Shims put their sockets below /run/containerd whatever they are told.
    `${DETACH_OTHERS}${mountRun(directory)} && ip link set lo up && ${
      options.uruncConfiguration === undefined ? "" : `${overlayEtc(directory)} && `
    }touch ${directory}/ready && exec sleep infinity`,
  ]);
  const nsenter = ["nsenter", "--target", `${holder.pid}`, "--net", "--mount"];
  await waitFor(() => exists(`${directory}/ready`), { timeoutSeconds: 10, what: "namespaces" });
  scope.defer("end what is left of shims", () => endShims(directory, namespace));

  // Where the daemon is: the files that it makes for a task's output are there.
  const containerNamespace = options.cri ? "k8s.io" : namespace;
  const client = [
    ...nsenter,
    "ctr",
    "--address",
    `${directory}/containerd.sock`,
    "--namespace",
    containerNamespace,
  ];
  let running: Daemon;
  const ctr = (args: string[], commandOptions?: CommandOptions) =>
    run([...client, ...args], commandOptions);
  const start = async () => {
    const started = await daemon(
      scope,
      `${directory}/containerd.log`,
      [...nsenter, "containerd", "--config", `${directory}/config.toml`],
      {
        PATH: `${path}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
        // As a unit of systemd's has it; nobody listens here.
        NOTIFY_SOCKET: `${directory}/notify.sock`,
      },
    );
    running = started;
    await waitForSocket(`${directory}/containerd.sock`, started);
    await waitFor(async () => (await ctr(["version"])).code === 0, {
      timeoutSeconds: 30,
      what: "containerd to answer",
    });
    // The one that is stopped next: ctr waits long for one that is gone.
    scope.defer("remove containerd's tasks", async () => {
      if (!started.hasEnded()) await removeTasks(ctr);
    });
  };
  await start();

  const ctrRunCommand: Containerd["ctrRunCommand"] = (flags, image, id, args) => [
    ...client,
    "run",
    "--runtime",
    RUNTIME,
    ...flags,
    image,
    id,
    ...args,
  ];
  return {
    directory,
    namespace,
    ctr,
    ctrCommand: (args) => [...client, ...args],
    ctrRunCommand,
    ctrRun: (flags, image, id, args, commandOptions) =>
      run(ctrRunCommand(flags, image, id, args), commandOptions),
    makeImage: (...image) => makeImage(scope, ctr, ...image),
    importLayer: (...image) => importLayer(scope, ctr, ...image),
    root: `/proc/${holder.pid}/root`,
    onHost: (argv, commandOptions) => run([...nsenter, ...argv], commandOptions),
    bundle: (id) => `${directory}/state/io.containerd.runtime.v2.task/${containerNamespace}/${id}`,
    shims: () => shimsOf(directory),
    log: () => Deno.readTextFileSync(`${directory}/containerd.log`),
    async kill() {
      Deno.kill(running.pid, "SIGKILL");
      await waitFor(() => running.hasEnded(), { timeoutSeconds: 10, what: "containerd to end" });
    },
    start,
  };
}

let counter = 0;

function configurationOf(directory: string, options: ContainerdOptions): string {
  return `version = 2
root = "${directory}/root"
state = "${directory}/state"
disabled_plugins = [${options.cri ? "" : '"io.containerd.grpc.v1.cri"'}]
[grpc]
  address = "${directory}/containerd.sock"
[ttrpc]
  address = "${directory}/containerd.sock.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "${directory}/opt"
${options.configuration ?? ""}
`;
}

/**
 * An empty /run but for udev's, by which device mapper's programs know to wait for their nodes, and the
 * ways to systemd.
 */
function mountRun(directory: string): string {
  const outer = `${directory}/run`;
  const each = (action: string) => `for it in udev systemd dbus; do ${action} || exit 1; done`;
  return [
    `mkdir ${outer}`,
    each(`mkdir ${outer}/$it && { [ ! -d /run/$it ] || mount --bind /run/$it ${outer}/$it; }`),
    "mount -t tmpfs tmpfs /run",
    each(
      `{ ! mountpoint -q ${outer}/$it || { mkdir /run/$it && mount --move ${outer}/$it /run/$it; }; }`,
    ),
    "mkdir -p /run/udev",
  ].join(" && ");
}

/** Makes /etc/urunc in the daemon's mount namespace only, without a trace on the machine's /etc. */
function overlayEtc(directory: string): string {
  const upper = `${directory}/etc-upper`;
  return [
    `mkdir -p ${upper}/urunc ${directory}/etc-work`,
    `cp ${directory}/etc/config.toml ${upper}/urunc/config.toml`,
    // The CRI plugin copies it.
    `{ [ -f /etc/resolv.conf ] || touch ${upper}/resolv.conf; }`,
    `mount -t overlay overlay /etc -o lowerdir=/etc,upperdir=${upper},workdir=${directory}/etc-work`,
  ].join(" && ");
}

/** Every shim names its containerd on its command line. */
function shimsOf(directory: string): number[] {
  return listPids().filter((pid) => {
    try {
      const text = Deno.readTextFileSync(`/proc/${pid}/cmdline`);
      return text.includes("containerd-shim-") && text.includes(`${directory}/containerd.sock`);
    } catch {
      return false;
    }
  });
}

/** Kills shims, and containers whose shim is gone: their cgroup bears the name of the namespace. */
async function endShims(directory: string, namespace: string): Promise<void> {
  const left = () => [...shimsOf(directory), ...cgroupProcesses(`/${namespace}`)];
  for (const pid of left()) {
    try {
      Deno.kill(pid, "SIGKILL");
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  await waitFor(() => left().length === 0, { timeoutSeconds: 10, what: "killed shims to go" });
}

async function removeTasks(ctr: Containerd["ctr"]): Promise<void> {
  const ids = (await ctr(["containers", "ls", "--quiet"])).stdout.split("\n").filter(Boolean);
  for (const id of ids) {
    await ctr(["task", "delete", "--force", id]);
    await ctr(["containers", "delete", id]);
  }
}

/** Makes a single-layer image in the containerd of a client. */
export async function makeImage(
  scope: Scope,
  ctr: Containerd["ctr"],
  name: string,
  files: ImageFile[],
  imageConfig?: ImageConfig,
  snapshotter?: string,
): Promise<void> {
  await importLayer(scope, ctr, name, await makeLayer(scope, files), imageConfig, snapshotter);
}

/** Makes it of the tar file of a layer. */
async function importLayer(
  scope: Scope,
  ctr: Containerd["ctr"],
  name: string,
  layerFile: string,
  imageConfig: ImageConfig = {},
  snapshotter = "overlayfs",
): Promise<void> {
  const layer = await Deno.readFile(layerFile);
  const directory = await scope.temporaryDirectory("layout");
  await Deno.mkdir(`${directory}/blobs/sha256`, { recursive: true });
  const add = async (mediaType: string, bytes: Uint8Array<ArrayBuffer>) => {
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
    await Deno.writeFile(`${directory}/blobs/sha256/${hash}`, bytes);
    return { mediaType, digest: `sha256:${hash}`, size: bytes.length };
  };
  const addJson = (mediaType: string, value: unknown) =>
    add(mediaType, new TextEncoder().encode(JSON.stringify(value)));
  const tar = await add("application/vnd.oci.image.layer.v1.tar", layer);
  const config = await addJson("application/vnd.oci.image.config.v1+json", {
    architecture: "amd64",
    os: "linux",
    config: imageConfig,
    rootfs: { type: "layers", diff_ids: [tar.digest] },
  });
  const manifest = await addJson("application/vnd.oci.image.manifest.v1+json", {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config,
    layers: [tar],
  });
  const annotations = {
    "io.containerd.image.name": name,
    "org.opencontainers.image.ref.name": name,
  };
  await Deno.writeTextFile(`${directory}/oci-layout`, '{"imageLayoutVersion":"1.0.0"}');
  await Deno.writeTextFile(
    `${directory}/index.json`,
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }),
  );
  await run([
    "tar",
    "--create",
    "--file",
    `${directory}.tar`,
    "--directory",
    directory,
    "oci-layout",
    "index.json",
    "blobs",
  ], { check: true });
  scope.defer(`remove ${directory}.tar`, () => Deno.remove(`${directory}.tar`));
  await ctr(["images", "import", "--snapshotter", snapshotter, `${directory}.tar`], {
    check: true,
  });
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
