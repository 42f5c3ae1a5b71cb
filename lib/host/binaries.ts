import type { MonitorConfiguration } from "../config/types.ts";
import { HostError, InvalidConfigurationError } from "../errors.ts";
import type { Monitor } from "../monitor/types.ts";
import { baseName } from "../os/path.ts";
import type { MonitorFacts } from "./types.ts";

/**
 * Where monitors are searched. Not along the caller's PATH: it differs between containerd, dockerd,
 * conmon and a shell, so that one container would get different monitors; and an environment variable
 * should not choose what runs on behalf of root. The list is Debian's PATH for root
 * (login.defs(5), ENV_SUPATH).
 */
export const SEARCH_PATH: readonly string[] = [
  "/usr/local/sbin",
  "/usr/local/bin",
  "/usr/sbin",
  "/usr/bin",
  "/sbin",
  "/bin",
];

/**
 * Finds a monitor's binary and data on this host.
 *
 * @param configuration the operator's, of this monitor
 * @param searchPath directories in order; another list only in tests
 * @throws HostError when the monitor is not installed; InvalidConfigurationError when the operator's
 *   choice does not exist or cannot be used
 */
export function findMonitor(
  monitor: Monitor,
  configuration: MonitorConfiguration | undefined,
  searchPath: readonly string[] = SEARCH_PATH,
): MonitorFacts {
  const binary = configuration?.path === undefined
    ? searchMonitor(monitor, searchPath)
    : configuredBinary(monitor, configuration.path);
  return {
    binary,
    dataPaths: [
      ...monitor.dataPaths.flatMap((path) => dataPath(path) ?? []),
      ...(configuration?.data_paths ?? []).map((path) => configuredDataPath(monitor, path)),
    ],
  };
}

/**
 * Finds the firmware that a guest starts in.
 *
 * @param configuration the operator's, of this monitor
 * @param needsBios whether the guest needs a whole BIOS
 * @returns its absolute path, symlinks resolved; undefined for a monitor that starts kernels itself
 * @throws HostError when it is not installed; InvalidConfigurationError when the operator's choice
 *   is not a file
 */
export function findFirmware(
  monitor: Monitor,
  configuration: MonitorConfiguration | undefined,
  needsBios: boolean,
): string | undefined {
  if (monitor.firmware === undefined) return undefined;
  const wanted = Object.entries(monitor.firmware).find(([, it]) => it.isBios === needsBios);
  if (wanted === undefined) return undefined;
  const [name, { paths, debianPackage }] = wanted;
  const subject = `monitors.${monitor.name}.firmware.${name}`;
  const configured = configuration?.firmware?.[name];
  if (configured !== undefined) {
    requireAbsolute(subject, configured);
    if (statIfThere(configured)?.isFile) return Deno.realPathSync(configured);
    throw new InvalidConfigurationError({
      operation: "use configured firmware",
      subject,
      reason: `${configured} is not a regular file`,
      remedy: `name the file, or leave ${subject} out: it is then searched for`,
    });
  }
  const places = [...inDataPaths(paths, configuration?.data_paths ?? []), ...paths];
  const found = places.find((path) => statIfThere(path)?.isFile);
  if (found !== undefined) return Deno.realPathSync(found);
  throw new HostError({
    operation: "find firmware",
    subject: name,
    reason: `${places.join(" or ")} does not exist`,
    remedy: `install it (Debian: apt-get install ${debianPackage}), or set ${subject} in the ` +
      "configuration",
  });
}

/** By the same names below directories of the operator's: a monitor that is not the distribution's has its own. */
function inDataPaths(paths: readonly string[], directories: readonly string[]): string[] {
  const names = [...new Set(paths.map(baseName))];
  return directories.flatMap((directory) =>
    names.flatMap((name) => [`${directory}/${name}`, `${directory}/qemu/${name}`])
  );
}

/**
 * A monitor's version, from what it prints when it is asked for it.
 *
 * @param args that it is asked by
 * @returns the first number with dots; undefined when there is none, or it cannot be run
 */
export function readMonitorVersion(binary: string, args: readonly string[]): string | undefined {
  const command = new Deno.Command(binary, {
    args: [...args],
    clearEnv: true,
    cwd: "/",
    stdin: "null",
  });
  try {
    const { stdout } = command.outputSync();
    return /\d+(?:\.\d+)+/.exec(new TextDecoder().decode(stdout))?.[0];
  } catch {
    return undefined;
  }
}

function searchMonitor(monitor: Monitor, searchPath: readonly string[]): string {
  for (const name of monitor.binaryNames) {
    for (const directory of searchPath) {
      const path = `${directory}/${name}`;
      if (isExecutableFile(path)) return Deno.realPathSync(path);
    }
  }
  const { debianPackage } = monitor;
  const install = debianPackage === undefined
    ? "install it"
    : `install it (Debian: apt-get install ${debianPackage})`;
  throw new HostError({
    operation: "find monitor",
    subject: monitor.name,
    reason: `no executable file ${monitor.binaryNames.join(" or ")} in ${searchPath.join(", ")}`,
    remedy: `${install}, or set monitors.${monitor.name}.path in the configuration`,
  });
}

function configuredBinary(monitor: Monitor, path: string): string {
  const subject = `monitors.${monitor.name}.path`;
  requireAbsolute(subject, path);
  if (!isExecutableFile(path)) {
    throw new InvalidConfigurationError({
      operation: "use configured monitor",
      subject,
      reason: `${path} is not an executable regular file`,
      remedy: statIfThere(path)?.isFile
        ? `chmod 0755 ${path}`
        : `name the program, or leave ${subject} out: it is then searched for`,
    });
  }
  return Deno.realPathSync(path);
}

function configuredDataPath(monitor: Monitor, path: string): MonitorFacts["dataPaths"][number] {
  const subject = `monitors.${monitor.name}.data_paths`;
  requireAbsolute(subject, path);
  const found = dataPath(path);
  if (found === undefined) {
    throw new InvalidConfigurationError({
      operation: "use configured data path",
      subject,
      reason: `${path} is not a file or directory`,
    });
  }
  return found;
}

function requireAbsolute(subject: string, path: string): void {
  if (path.startsWith("/")) return;
  throw new InvalidConfigurationError({
    operation: "use configured path",
    subject,
    reason: `${JSON.stringify(path)} is not absolute`,
  });
}

function isExecutableFile(path: string): boolean {
  const info = statIfThere(path);
  return info !== undefined && info.isFile && ((info.mode ?? 0) & 0o111) !== 0;
}

function dataPath(path: string): MonitorFacts["dataPaths"][number] | undefined {
  const info = statIfThere(path);
  if (info?.isDirectory) return { path, kind: "directory" };
  if (info?.isFile) return { path, kind: "file" };
  return undefined;
}

function statIfThere(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return undefined;
    }
    throw error;
  }
}
