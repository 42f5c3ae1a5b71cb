import { exists, readIfThere } from "../../os/files.ts";
import type {
  CniFacts,
  ContainerdFacts,
  CrioFacts,
  DockerFacts,
  KubeletFacts,
  PodmanFacts,
} from "../facts.ts";
import { ask, askVersion, problemOf } from "./ask.ts";
import { type Table, tableAt, textAt, textsAt } from "./tables.ts";

const DAEMON_JSON = "/etc/docker/daemon.json";
const KUBELET = "/var/lib/kubelet/config.yaml";

/** docker's configuration, and what the daemon says if it runs; undefined where it is not installed. */
export async function surveyDocker(): Promise<DockerFacts | undefined> {
  const text = readIfThere(DAEMON_JSON);
  if (text === undefined && await askVersion("dockerd") === undefined) return undefined;
  const running = await surveyRunningDocker();
  const about = { path: DAEMON_JSON, isThere: text !== undefined };
  const answering = running === undefined ? {} : { running };
  try {
    return { ...about, ...describeDocker(JSON.parse(text || "{}")), ...answering };
  } catch (error) {
    const problem = { reason: `not JSON: ${problemOf(error).reason}` };
    return { ...about, problem, runtimes: {}, ...answering };
  }
}

function describeDocker(document: unknown): Pick<
  DockerFacts,
  "runtimes" | "cgroupDriver"
> {
  const daemon = tableAt(document);
  const driver = textsAt(daemon, "exec-opts")
    .map((it) => /^native\.cgroupdriver=(.*)$/.exec(it)?.[1]).find((it) => it !== undefined);
  const runtimes = Object.entries(tableAt(daemon, "runtimes"))
    .map(([name, it]) => [name, describeDockerRuntime(tableAt(it))]);
  return {
    runtimes: Object.fromEntries(runtimes),
    ...(driver === undefined ? {} : { cgroupDriver: driver }),
  };
}

function describeDockerRuntime(runtime: Table): DockerFacts["runtimes"][string] {
  const path = textAt(runtime, "path");
  const type = textAt(runtime, "runtimeType");
  return {
    ...(path === "" ? {} : { path, isExecutable: isExecutable(path) }),
    ...(type === "" ? {} : { type }),
  };
}

/** Only where the default socket is: the command would wait for a daemon of another name. */
async function surveyRunningDocker(): Promise<DockerFacts["running"]> {
  if (!exists("/run/docker.sock") && !exists("/var/run/docker.sock")) return undefined;
  const answer = await ask([
    "docker",
    "--host",
    "unix:///var/run/docker.sock",
    "info",
    "--format",
    "{{json .}}",
  ]);
  if (!answer?.success) return undefined;
  const info: Table = JSON.parse(answer.stdout);
  return {
    runtimes: Object.keys(tableAt(info, "Runtimes")),
    version: textAt(info, "ServerVersion"),
    cgroupDriver: textAt(info, "CgroupDriver"),
  };
}

/** CRI-O's configuration files, later ones over earlier; undefined where there is none. */
export async function surveyCrio(): Promise<CrioFacts | undefined> {
  const files = filesOf("/etc/crio/crio.conf", "/etc/crio/crio.conf.d");
  if (files.length === 0) return undefined;
  const facts: CrioFacts = { runtimes: {} };
  for (const file of files) {
    const document = await readToml(file);
    if (document instanceof Error) {
      facts.problem = { reason: `${file}: ${document.message}` };
      continue;
    }
    const runtime = tableAt(document, "crio", "runtime");
    const manager = textAt(runtime, "cgroup_manager");
    if (manager !== "") facts.cgroupManager = manager;
    for (const [name, it] of Object.entries(tableAt(runtime, "runtimes"))) {
      facts.runtimes[name] = describeCrioRuntime(tableAt(it));
    }
  }
  return facts;
}

function describeCrioRuntime(runtime: Table): CrioFacts["runtimes"][string] {
  const path = textAt(runtime, "runtime_path");
  return {
    path,
    // crio.conf(5): the default
    type: textAt(runtime, "runtime_type") || "oci",
    isExecutable: isExecutable(path),
    allowedAnnotations: textsAt(runtime, "allowed_annotations"),
  };
}

/** containers.conf(5); undefined where podman is not installed. */
export async function surveyPodman(): Promise<PodmanFacts | undefined> {
  const version = await askVersion("podman");
  if (version === undefined) return undefined;
  const facts: PodmanFacts = { version, runtimes: {} };
  const files = [
    ...filesOf("/usr/share/containers/containers.conf"),
    ...filesOf("/etc/containers/containers.conf", "/etc/containers/containers.conf.d"),
  ];
  for (const file of files) {
    const document = await readToml(file);
    if (document instanceof Error) {
      facts.problem = { reason: `${file}: ${document.message}` };
      continue;
    }
    const engine = tableAt(document, "engine");
    const manager = textAt(engine, "cgroup_manager");
    if (manager !== "") facts.cgroupManager = manager;
    const runtimes = tableAt(engine, "runtimes");
    for (const name of Object.keys(runtimes)) facts.runtimes[name] = textsAt(runtimes, name);
  }
  return facts;
}

/** The kubelet's configuration; undefined on a node without it. */
export function surveyKubelet(): KubeletFacts | undefined {
  const text = readIfThere(KUBELET);
  if (text === undefined) return undefined;
  // One line of a document of YAML, whose parser is not in the executable. Its default is cgroupfs.
  const [, driver = "cgroupfs"] = /^cgroupDriver:\s*["']?(\w+)/m.exec(text) ?? [];
  return { path: KUBELET, cgroupDriver: driver };
}

/** The network that pods get, and whether its plugins are there. */
export function surveyCni(containerd: ContainerdFacts | undefined): CniFacts {
  const { configuration, binaries } = containerd?.cni ??
    { configuration: "/etc/cni/net.d", binaries: "/opt/cni/bin" };
  const facts = { configuration, binaries };
  const file = listFiles(configuration, /\.(conf|conflist|json)$/)[0];
  if (file === undefined) return facts;
  try {
    const document: Table = JSON.parse(readIfThere(file) ?? "");
    const plugins = Array.isArray(document.plugins) ? document.plugins : [document];
    const types = plugins.map((it) => textAt(tableAt(it), "type"));
    const missing = [...new Set(types)].filter((it) => !isExecutable(`${binaries}/${it}`));
    return { ...facts, network: { file, name: textAt(document, "name"), missing } };
  } catch (error) {
    const problem = { reason: problemOf(error).reason };
    return { ...facts, network: { file, name: "", missing: [], problem } };
  }
}

/** A file that may be there, and those of a directory in the order of their names. */
function filesOf(file: string, directory?: string): string[] {
  const dropIns = directory === undefined ? [] : listFiles(directory, /\.conf$/);
  return [...exists(file) ? [file] : [], ...dropIns];
}

function listFiles(directory: string, names: RegExp): string[] {
  try {
    return [...Deno.readDirSync(directory)].map(({ name }) => name)
      .filter((name) => names.test(name)).sort().map((name) => `${directory}/${name}`);
  } catch {
    return [];
  }
}

async function readToml(file: string): Promise<Table | Error> {
  const { parse } = await import("smol-toml");
  try {
    return parse(readIfThere(file) ?? "");
  } catch (error) {
    return new Error(problemOf(error).reason.split("\n")[0]);
  }
}

function isExecutable(path: string): boolean {
  try {
    const { isFile, mode } = Deno.statSync(path);
    return isFile && ((mode ?? 0) & 0o111) !== 0;
  } catch {
    return false;
  }
}
