import { checkConfiguration } from "../../config/check.ts";
import { parseIdRange } from "../../config/id_range.ts";
import { defaultConfiguration, parseConfiguration } from "../../config/parse.ts";
import type { Configuration } from "../../config/types.ts";
import { observeContainer } from "../../container/observe.ts";
import { Store } from "../../container/store.ts";
import { CONFIGURATION_PATH, readConfigurationText } from "../../host/configuration.ts";
import { otherOwner } from "../../host/id_owners.ts";
import { probeKvm } from "../../host/kvm.ts";
import { KernelStore } from "../../kernels/store.ts";
import { isDirectory, readIfThere } from "../../os/files.ts";
import type { ConfigurationFacts, ContainerFacts, IdRange, NodeFacts } from "../facts.ts";
import { problemOf } from "./ask.ts";
import { surveyContainerd } from "./containerd.ts";
import { surveyCni, surveyCrio, surveyDocker, surveyKubelet, surveyPodman } from "./engines.ts";
import {
  groupNamesOf,
  surveyCgroups,
  surveyDevice,
  surveyKernel,
  surveyProcessor,
  surveySecurity,
} from "./machine.ts";
import {
  surveyFileServer,
  surveyFirmware,
  surveyMonitors,
  surveyRuntime,
  surveyUrunc,
} from "./programs.ts";

/** What a survey of a node depends on. */
export interface SurveyOptions {
  /** The configuration file; undefined: the default. */
  config?: string;
  /** The directory for the state of containers. */
  root: string;
}

/**
 * Finds out all that a report is made of. It changes nothing, but that it makes a virtual machine without
 * memory for a moment, and keeps what libraries the monitors need, as `create` does.
 */
export async function surveyNode(options: SurveyOptions): Promise<NodeFacts> {
  const configuration = await surveyConfiguration(options.config);
  const { values } = configuration;
  const kvm = probeKvm();
  const tun = surveyDevice("/dev/net/tun");
  const vhostNet = surveyDevice("/dev/vhost-net");
  const containerd = await surveyContainerd();
  const docker = await surveyDocker();
  const crio = await surveyCrio();
  const podman = await surveyPodman();
  const kubelet = surveyKubelet();
  const kernels = surveyKernels(values);
  const rangeOwner = surveyRange(values);
  return {
    urunc: surveyUrunc(),
    kernel: surveyKernel(),
    kvm,
    processor: surveyProcessor(),
    ...(tun === undefined ? {} : { tun }),
    ...(vhostNet === undefined ? {} : { vhostNet }),
    groupNames: groupNamesOf([kvm.device, tun, vhostNet]),
    configuration,
    monitors: await surveyMonitors(values),
    firmware: surveyFirmware(values),
    ...(kernels === undefined ? {} : { kernels }),
    cgroups: surveyCgroups(),
    security: surveySecurity(),
    fileServer: await surveyFileServer(),
    runtime: await surveyRuntime(values),
    ...(containerd === undefined ? {} : { containerd }),
    ...(docker === undefined ? {} : { docker }),
    ...(crio === undefined ? {} : { crio }),
    ...(podman === undefined ? {} : { podman }),
    ...(kubelet === undefined ? {} : { kubelet }),
    cni: surveyCni(containerd),
    containers: surveyContainers(options.root),
    ...(rangeOwner === undefined ? {} : { rangeOwner }),
    subordinateIds: parseSubordinateIds(readIfThere("/etc/subuid") ?? ""),
  };
}

async function surveyConfiguration(named: string | undefined): Promise<ConfigurationFacts> {
  const path = named ?? CONFIGURATION_PATH;
  try {
    const toml = readConfigurationText(named);
    const findings = await checkConfiguration(toml ?? "");
    const isValid = findings.every(({ kind }) => kind === "warning");
    const values = isValid ? await parseConfiguration(toml ?? "") : defaultConfiguration();
    return { path, isThere: toml !== undefined, findings, values };
  } catch (error) {
    const finding = { kind: "error" as const, subject: "", ...problemOf(error) };
    return { path, isThere: true, findings: [finding], values: defaultConfiguration() };
  }
}

function surveyRange({ ids: { range } }: Configuration): string | undefined {
  const parsed = range === undefined ? undefined : parseIdRange(range);
  return parsed === undefined ? undefined : otherOwner(parsed);
}

function surveyKernels({ "guests.linux": { kernels } }: Configuration): NodeFacts["kernels"] {
  if (!isDirectory(kernels)) return undefined;
  const damaged: unknown[] = [];
  try {
    const found = new KernelStore(kernels).list((error) => damaged.push(error));
    const problem = damaged.length === 0 ? {} : { problem: problemOf(damaged[0]) };
    return { names: found.map(({ name }) => name), ...problem };
  } catch (error) {
    return { names: [], problem: problemOf(error) };
  }
}

/** Where callers have urunc keep its containers: docs/troubleshooting.md. */
function stateRoots(root: string): string[] {
  const below = (directory: string): string[] => {
    try {
      return [...Deno.readDirSync(directory)].map(({ name }) => `${directory}/${name}`);
    } catch {
      return [];
    }
  };
  return [root, ...below("/run/containerd/urunc")].filter(isDirectory);
}

function surveyContainers(root: string): ContainerFacts[] {
  return stateRoots(root).flatMap((directory) => {
    const store = new Store(directory);
    try {
      return store.list().map((id) => ({ root: directory, id, status: statusOf(store, id) }));
    } catch {
      return [];
    }
  });
}

function statusOf(store: Store, id: string): string {
  try {
    const directory = store.open(id);
    const observation = observeContainer(directory);
    return observation?.status ?? (directory.isPassing() ? "creating" : "damaged");
  } catch {
    return "damaged";
  }
}

/** @param text of /etc/subuid, subuid(5) */
export function parseSubordinateIds(text: string): IdRange[] {
  return text.split("\n").flatMap((line) => {
    const [name, start, count] = line.split(":");
    if (!name || !/^\d+$/.test(start ?? "") || !/^\d+$/.test(count ?? "")) return [];
    return [{ name, start: Number(start), count: Number(count) }];
  });
}
