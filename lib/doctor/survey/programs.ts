import type { Configuration } from "../../config/types.ts";
import { findFirmware, findMonitor, SEARCH_PATH } from "../../host/binaries.ts";
import { findFileServer } from "../../host/file_server.ts";
import { findLibraries } from "../../host/libraries.ts";
import { monitorByName, monitorNames } from "../../monitor/registry.ts";
import type { Monitor } from "../../monitor/types.ts";
import { isSameIdentity, readFileIdentity } from "../../os/files.ts";
import { isLinked, selfCommand } from "../../os/self.ts";
import { findRuntime } from "../../runc/runtime_program.ts";
import { versionInfo } from "../../version.ts";
import type { Found, MonitorSurvey, UruncFacts } from "../facts.ts";
import { askIdentity, askVersion, parseVersion, problemOf } from "./ask.ts";

/** What containerd looks for: the runtime type is `io.containerd.urunc.v2`. */
const SHIM = "containerd-shim-urunc-v2";

/** This program, and what its shim's name leads to. */
export function surveyUrunc(): UruncFacts {
  const { version, commit } = versionInfo();
  const [executable = ""] = selfCommand();
  const shim = SEARCH_PATH.map((directory) => `${directory}/${SHIM}`).find((path) =>
    readFileIdentity(path) !== undefined
  );
  const isThis = (path: string) =>
    !isLinked() || isSameIdentity(readFileIdentity(path), readFileIdentity("/proc/self/exe"));
  return {
    version,
    commit,
    executable,
    ...(shim === undefined ? {} : { shim: { path: shim, isThisExecutable: isThis(shim) } }),
  };
}

/** Every monitor that guests could ask for. */
export async function surveyMonitors(
  configuration: Configuration,
): Promise<Record<string, MonitorSurvey>> {
  const monitors: Record<string, MonitorSurvey> = {};
  for (const name of monitorNames()) {
    monitors[name] = await surveyMonitor(monitorByName(name), configuration);
  }
  return monitors;
}

async function surveyMonitor(
  monitor: Monitor,
  configuration: Configuration,
): Promise<MonitorSurvey> {
  const about = {
    ...(monitor.debianPackage === undefined ? {} : { package: monitor.debianPackage }),
    needsKvm: monitor.accelerators.length === 1 && monitor.accelerators[0] === "kvm",
    takesDescriptors: monitor.takesDescriptors,
  };
  let path: string | undefined;
  try {
    path = findMonitor(monitor, configuration.monitors[monitor.name]).binary;
    findLibraries(path, monitor.modulePaths);
    const identity = await askIdentity(path);
    const version = parseVersion(identity);
    if (!identity.toLowerCase().includes(monitor.calledInVersion.toLowerCase())) {
      const reason = `${path} --version does not print "${monitor.calledInVersion}": ` +
        "it is another program";
      return { ...about, path, problem: { reason } };
    }
    return version === undefined ? { ...about, path } : { ...about, path, version };
  } catch (error) {
    const found = path === undefined ? {} : { path };
    return { ...about, ...found, problem: problemOf(error) };
  }
}

/** Every kind of firmware that a monitor starts guests in. */
export function surveyFirmware(configuration: Configuration): Record<string, Found> {
  const kinds = monitorNames().flatMap((name) =>
    Object.entries(monitorByName(name).firmware ?? {}).map(([kind, { isBios }]) =>
      [`${name}.${kind}`, surveyFirmwareKind(name, isBios, configuration)] as const
    )
  );
  return Object.fromEntries(kinds);
}

function surveyFirmwareKind(name: string, isBios: boolean, configuration: Configuration): Found {
  try {
    const path = findFirmware(monitorByName(name), configuration.monitors[name], isBios);
    return path === undefined ? {} : { path };
  } catch (error) {
    return { problem: problemOf(error) };
  }
}

/**
 * What serves files of the host to guests.
 *
 * @param places where it is looked for; others only in tests
 */
export async function surveyFileServer(places?: readonly string[]): Promise<Found> {
  let path: string | undefined;
  try {
    path = findFileServer(places).binary;
    const version = await askVersion(path);
    return version === undefined ? { path } : { path, version };
  } catch (error) {
    return { ...(path === undefined ? {} : { path }), problem: problemOf(error) };
  }
}

/** What runs containers that are not guests. */
export async function surveyRuntime(
  { oci_runtime: program }: Configuration,
): Promise<Found & { program: string }> {
  try {
    const path = findRuntime(program);
    const version = await askVersion(path);
    return version === undefined ? { program, path } : { program, path, version };
  } catch (error) {
    return { program, problem: problemOf(error) };
  }
}
