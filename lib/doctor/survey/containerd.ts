import { readIfThere } from "../../os/files.ts";
import type { ContainerdFacts, ContainerdRuntime, Problem } from "../facts.ts";
import { ask, askVersion, lastLine, problemOf } from "./ask.ts";
import { tableAt, textAt, textsAt } from "./tables.ts";

const PATH = "/etc/containerd/config.toml";

/** Names of the plugin for Kubernetes, by the version of the configuration: 3, 2, 1. */
const CRI_PLUGINS = ["io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri", "cri"];

/** Where it looks without a configuration: pkg/cri/config/config_unix.go of containerd. */
const CNI = { binaries: "/opt/cni/bin", configuration: "/etc/cni/net.d" };

/** containerd's configuration, as it reads it itself; undefined where it is not installed. */
export async function surveyContainerd(): Promise<ContainerdFacts | undefined> {
  const version = await askVersion("containerd");
  const text = readIfThere(PATH);
  if (version === undefined && text === undefined) return undefined;
  const about = version === undefined ? { path: PATH } : { path: PATH, version };
  const none = { ...about, criDisabled: false, runtimes: {}, cni: CNI };
  // It starts without a file, and does not dump one that is not there.
  const dump = await ask(
    text === undefined
      ? ["containerd", "config", "default"]
      : ["containerd", "--config", PATH, "config", "dump"],
  );
  if (dump !== undefined && !dump.success) {
    return { ...none, problem: { reason: lastLine(dump.stderr) } };
  }
  try {
    const { parse } = await import("smol-toml");
    const facts = describeContainerd(parse(dump?.stdout ?? text ?? ""));
    const pool = facts.devmapper?.pool;
    return {
      ...about,
      ...facts,
      ...(pool === undefined ? {} : { devmapper: { pool, ...await surveyPool(pool) } }),
    };
  } catch (error) {
    return { ...none, problem: problemOf(error) };
  }
}

/** @param document what the TOML parser made of the configuration */
export function describeContainerd(
  document: unknown,
): Omit<ContainerdFacts, "path" | "version" | "problem"> {
  const plugins = tableAt(document, "plugins");
  const plugin = CRI_PLUGINS.find((name) => Object.hasOwn(plugins, name)) ?? CRI_PLUGINS[1]!;
  const cri = tableAt(plugins, plugin);
  const disabled = textsAt(tableAt(document), "disabled_plugins");
  const cni = tableAt(cri, "cni");
  const pool = textAt(tableAt(plugins, "io.containerd.snapshotter.v1.devmapper"), "pool_name");
  const snapshotter = textAt(tableAt(cri, "containerd"), "snapshotter") ||
    textAt(tableAt(plugins, "io.containerd.cri.v1.images"), "snapshotter");
  const runtimes = Object.entries(tableAt(cri, "containerd", "runtimes"));
  return {
    criDisabled: disabled.some((it) => CRI_PLUGINS.includes(it)),
    runtimes: Object.fromEntries(runtimes.map(([name, it]) => [name, describeRuntime(it)])),
    cni: {
      // containerd 2.1 has several directories.
      binaries: textsAt(cni, "bin_dirs")[0] ?? (textAt(cni, "bin_dir") || CNI.binaries),
      configuration: textAt(cni, "conf_dir") || CNI.configuration,
    },
    ...(snapshotter === "" ? {} : { snapshotter }),
    ...(pool === "" ? {} : { devmapper: { pool } }),
  };
}

function describeRuntime(value: unknown): ContainerdRuntime {
  const runtime = tableAt(value);
  return {
    type: textAt(runtime, "runtime_type"),
    systemdCgroup: tableAt(runtime, "options").SystemdCgroup === true,
    privilegedWithoutHostDevices: runtime.privileged_without_host_devices === true,
    podAnnotations: textsAt(runtime, "pod_annotations"),
    containerAnnotations: textsAt(runtime, "container_annotations"),
  };
}

/** @see Documentation/admin-guide/device-mapper/thin-provisioning.rst of Linux, "Status" */
async function surveyPool(pool: string): Promise<{ status: string } | { problem: Problem }> {
  const answer = await ask(["dmsetup", "status", pool]);
  if (answer?.success) return { status: answer.stdout.trim() };
  return {
    problem: { reason: answer === undefined ? "dmsetup is not there" : lastLine(answer.stderr) },
  };
}
