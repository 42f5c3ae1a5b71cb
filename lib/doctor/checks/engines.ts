import type { CrioFacts, DockerFacts, NodeFacts } from "../facts.ts";
import { replaceIn } from "./fix.ts";
import { type Line, Lines } from "./types.ts";

/** The name of the shim, as containerd's configuration has it. */
const RUNTIME_TYPE = "io.containerd.urunc.v2";

/** The prefix of annotations that describe a guest. */
const ANNOTATIONS = "com.urunc.unikernel.";

/** A pool that is as full as that soon stops every container that writes to it, in per cent. */
const ALMOST_FULL = 80;
const FULL = 95;

/** containerd, of which ctr, docker and pods need different things. */
export function checkContainerd(facts: NodeFacts): Line[] {
  const { containerd, kubelet } = facts;
  if (containerd === undefined) return [];
  const lines = new Lines("containerd");
  if (containerd.problem !== undefined) {
    lines.fail(
      `${containerd.path}: ${containerd.problem.reason}`,
      `containerd --config ${containerd.path} config dump`,
    );
    return lines.lines;
  }
  if (containerd.version === undefined) {
    lines.warn(`${containerd.path} is there, and containerd is not on the PATH`);
  } else {lines.ok(
      `version ${containerd.version}; ctr run --runtime ${RUNTIME_TYPE} needs no configuration`,
    );}
  if (containerd.criDisabled) {
    const text = "the plugin for Kubernetes is disabled (disabled_plugins)";
    if (kubelet === undefined) lines.ok(`${text}: pods cannot run here`);
    else {lines.fail(
        text,
        `remove "cri" from disabled_plugins in ${containerd.path}, and restart containerd`,
      );}
    return lines.lines;
  }
  checkHandlers(facts, lines);
  checkPool(facts, lines);
  return lines.lines;
}

function checkHandlers({ containerd, kubelet }: NodeFacts, lines: Lines): void {
  const { path, runtimes } = containerd!;
  const ours = Object.entries(runtimes).filter(([name, { type }]) =>
    name === "urunc" || type === RUNTIME_TYPE || /urunc/.test(type)
  );
  if (ours.length === 0) {
    const text = `pods cannot have this runtime: ${path} has none of type ${RUNTIME_TYPE}`;
    const fix = "urunc install --containerd --restart";
    if (kubelet === undefined) lines.warn(text, fix);
    else lines.fail(text, fix);
  }
  for (const [name, runtime] of ours) {
    if (runtime.type !== RUNTIME_TYPE) {
      lines.fail(
        `the runtime ${name} has the type ${JSON.stringify(runtime.type)}`,
        correctType(path, runtime.type, "containerd") ??
          `set runtime_type = "${RUNTIME_TYPE}" in ${path}, and restart containerd`,
      );
      continue;
    }
    lines.ok(
      `the runtime ${name} is of type ${RUNTIME_TYPE}: runtimeClassName of a RuntimeClass whose ` +
        `handler is ${name}`,
    );
    if (![...runtime.podAnnotations, ...runtime.containerAnnotations].some(coversAnnotations)) {
      lines.warn(
        `the runtime ${name} passes no annotations of pods on: only /urunc.json of an image describes guests`,
        `set pod_annotations = ["${ANNOTATIONS}*"] and container_annotations = ["${ANNOTATIONS}*"] in ${path}`,
      );
    }
    if (!runtime.privilegedWithoutHostDevices) {
      lines.ok(
        `the runtime ${name} gives privileged pods all devices of the host, with which a guest is ` +
          "refused: privileged_without_host_devices = true leaves them out",
      );
    }
  }
}

/** @returns a command, where the wrong type is one; any other word may stand for something else in that file */
function correctType(path: string, wrong: string, unit: string): string | undefined {
  if (!wrong.includes(".")) return undefined;
  const command = replaceIn(path, JSON.stringify(wrong), JSON.stringify(RUNTIME_TYPE));
  return `${command}; systemctl restart ${unit}`;
}

function coversAnnotations(pattern: string): boolean {
  return pattern.startsWith(ANNOTATIONS.slice(0, -1)) || pattern === "*" ||
    pattern === "com.urunc.*";
}

function checkPool({ containerd }: NodeFacts, lines: Lines): void {
  const { snapshotter, devmapper } = containerd!;
  if (snapshotter === "devmapper" && devmapper === undefined) {
    lines.fail(
      "pods use the snapshotter devmapper, and no pool is configured for it",
      `set pool_name in the table plugins."io.containerd.snapshotter.v1.devmapper" of ${
        containerd!.path
      }`,
    );
  }
  if (devmapper === undefined) return;
  const { pool, status, problem } = devmapper;
  if (problem !== undefined) {
    lines.fail(
      `the pool ${pool} of the snapshotter devmapper: ${problem.reason}`,
      `dmsetup status ${pool}`,
    );
    return;
  }
  for (const { status: kind, text, fix } of judgePool(pool, status ?? "")) lines[kind](text, fix);
}

/**
 * @param status a line of `dmsetup status`: `0 N thin-pool ID META/META DATA/DATA HELD rw|ro|out_of_data_space …`
 * @see Documentation/admin-guide/device-mapper/thin-provisioning.rst of Linux
 */
export function judgePool(pool: string, status: string): Omit<Line, "check">[] {
  const fix =
    `lvextend -l +50%FREE on the volume of ${pool}, or ctr snapshots --snapshotter devmapper ls, and rm`;
  const repair =
    `thin_check and thin_repair on the metadata of ${pool} (package thin-provisioning-tools)`;
  const [, , target, , metadata = "", data = "", , mode = ""] = status.split(/\s+/);
  if (target !== "thin-pool" || / thin-pool (Fail|Error)/.test(status)) {
    return [{
      status: "fail",
      text: `the pool ${pool} does not work: ${status || "no status"}`,
      fix: repair,
    }];
  }
  const lines: Omit<Line, "check">[] = [];
  if (/needs_check/.test(status)) {
    lines.push({ status: "fail", text: `the pool ${pool} needs to be checked`, fix: repair });
  }
  if (mode === "ro" || mode === "out_of_data_space") {
    lines.push({ status: "fail", text: `the pool ${pool} takes no more data (${mode})`, fix });
  }
  for (const [what, used] of [["data", data], ["metadata", metadata]] as const) {
    const percent = percentOf(used);
    const text = `the pool ${pool}: ${what} ${percent} % full`;
    if (percent >= FULL) lines.push({ status: "fail", text, fix });
    else if (percent >= ALMOST_FULL) lines.push({ status: "warn", text, fix });
    else lines.push({ status: "ok", text });
  }
  return lines;
}

function percentOf(used: string): number {
  const [part = 0, all = 1] = used.split("/").map(Number);
  return Math.floor(100 * part / all);
}

/** docker: its file, and the daemon that may have read an older one. */
export function checkDocker({ docker }: NodeFacts): Line[] {
  if (docker === undefined) return [];
  const lines = new Lines("docker");
  if (docker.problem !== undefined) {
    lines.fail(
      `${docker.path}: ${docker.problem.reason}`,
      `dockerd --validate --config-file ${docker.path}`,
    );
    return lines.lines;
  }
  const ours = Object.entries(docker.runtimes).filter(([name, { path, type }]) =>
    name === "urunc" || /urunc/.test(path ?? "") || /urunc/.test(type ?? "")
  );
  for (const [name, runtime] of ours) checkDockerRuntime(name, runtime, docker, lines);
  if (ours.length === 0) {
    lines.warn(
      docker.isThere
        ? `${docker.path} does not have this runtime`
        : `there is no ${docker.path}, which would have this runtime`,
      "urunc install --docker --restart",
    );
  }
  return lines.lines;
}

function checkDockerRuntime(
  name: string,
  { path, type, isExecutable }: DockerFacts["runtimes"][string],
  docker: DockerFacts,
  lines: Lines,
): void {
  if (path !== undefined && !isExecutable) {
    lines.fail(`the runtime ${name}: ${path} is not an executable file`, correct(docker, name));
  } else if (type !== undefined && type !== RUNTIME_TYPE) {
    lines.fail(
      `the runtime ${name} has the type ${JSON.stringify(type)}`,
      correctType(docker.path, type, "docker") ?? correct(docker, name),
    );
  } else if (path === undefined && type === undefined) {
    lines.fail(`the runtime ${name} has neither a path nor a type`, correct(docker, name));
  } else if (docker.running !== undefined && !docker.running.runtimes.includes(name)) {
    lines.fail(
      `the running docker does not know the runtime ${name} of ${docker.path}`,
      "systemctl restart docker",
    );
  } else {
    const state = docker.running === undefined
      ? "the daemon does not run"
      : `docker ${docker.running.version} has it`;
    lines.ok(`docker run --runtime ${name} (${path ?? type}): ${state}`);
  }
}

function correct({ path }: DockerFacts, name: string): string {
  return `set "${name}": { "runtimeType": "${RUNTIME_TYPE}" } among "runtimes" of ${path}, and restart docker`;
}

/** CRI-O. */
export function checkCrio({ crio }: NodeFacts): Line[] {
  if (crio === undefined) return [];
  const lines = new Lines("crio");
  if (crio.problem !== undefined) lines.fail(crio.problem.reason, "crio config");
  const ours = Object.entries(crio.runtimes).filter(([name, { path }]) =>
    name === "urunc" || /urunc/.test(path)
  );
  if (ours.length === 0) {
    lines.warn("CRI-O does not have this runtime", "urunc install --crio --restart");
  }
  for (const [name, runtime] of ours) checkCrioRuntime(name, runtime, lines);
  return lines.lines;
}

function checkCrioRuntime(
  name: string,
  runtime: CrioFacts["runtimes"][string],
  lines: Lines,
): void {
  const { path, type, isExecutable, allowedAnnotations } = runtime;
  if (!isExecutable) {
    lines.fail(
      `the runtime ${name}: ${path || "no runtime_path"} is not an executable file`,
      `set runtime_path of crio.runtime.runtimes.${name}, and restart CRI-O`,
    );
  } else if (type !== "oci") {
    lines.fail(
      `the runtime ${name} has the type ${JSON.stringify(type)}`,
      `set runtime_type = "oci" of crio.runtime.runtimes.${name}, and restart CRI-O`,
    );
  } else if (allowedAnnotations.some((it) => it.startsWith("com.urunc"))) {
    lines.fail(
      `allowed_annotations of the runtime ${name} has ${
        allowedAnnotations.join(", ")
      }, for which ` +
        "CRI-O ignores the whole runtime; annotations arrive without it",
      `remove allowed_annotations of crio.runtime.runtimes.${name}, and restart CRI-O`,
    );
  } else lines.ok(`the runtime ${name}: ${path}`);
}

/** podman, which needs no set-up. */
export function checkPodman({ podman, urunc }: NodeFacts): Line[] {
  if (podman === undefined) return [];
  const lines = new Lines("podman");
  if (podman.problem !== undefined) lines.fail(podman.problem.reason, "correct the file");
  const paths = podman.runtimes.urunc;
  if (paths === undefined) lines.ok(`podman --runtime ${urunc.executable} run …`);
  else lines.ok(`podman --runtime urunc run … (${paths.join(", ")})`);
  return lines.lines;
}

/** The network of pods. */
export function checkCni({ cni, kubelet, crio, containerd }: NodeFacts): Line[] {
  if (containerd === undefined && crio === undefined && kubelet === undefined) return [];
  const lines = new Lines("cni");
  const { network } = cni;
  if (network === undefined) {
    const text = `no network of pods is configured in ${cni.configuration}`;
    if (kubelet === undefined) lines.ok(text);
    else lines.fail(text, "apply the manifest of the cluster's network");
  } else if (network.problem !== undefined) {
    lines.fail(
      `${network.file}: ${network.problem.reason}`,
      `python3 -m json.tool ${network.file}`,
    );
  } else if (network.missing.length > 0) {
    const text = `the network ${network.name} (${network.file}) needs plugins that are not in ` +
      `${cni.binaries}: ${network.missing.join(", ")}`;
    const fix =
      "apt-get install containernetworking-plugins, and let bin_dir of containerd name /usr/lib/cni";
    if (kubelet === undefined) lines.warn(text, fix);
    else lines.fail(text, fix);
  } else lines.ok(`the network ${network.name} (${network.file}), plugins in ${cni.binaries}`);
  return lines.lines;
}
