import { monitorNames } from "../../monitor/registry.ts";
import type { Found, MonitorSurvey, NodeFacts, Problem } from "../facts.ts";
import { type Line, Lines } from "./types.ts";

const LIST_KERNELS = "urunc kernel list";

/** urunc itself, by both of its names. */
export function checkUrunc({ urunc }: NodeFacts): Line[] {
  const lines = new Lines("urunc");
  lines.ok(`version ${urunc.version}, commit ${urunc.commit}, ${urunc.executable}`);
  const link = `ln -sf ${urunc.executable} /usr/local/bin/containerd-shim-urunc-v2`;
  if (urunc.shim === undefined) {
    lines.warn(
      "containerd-shim-urunc-v2 is in none of the directories where containerd and docker look for it",
      link,
    );
  } else if (!urunc.shim.isThisExecutable) {
    lines.warn(
      `${urunc.shim.path} is another file than ${urunc.executable}: of another version?`,
      link,
    );
  } else lines.ok(`${urunc.shim.path} leads to it`);
  return lines.lines;
}

/** Monitors, and the firmware of those that have it. */
export function checkMonitors(facts: NodeFacts): Line[] {
  const lines = new Lines("monitors");
  const usable = monitorNames().filter((name) => facts.monitors[name]?.problem === undefined);
  for (const name of monitorNames()) {
    const monitor = facts.monitors[name];
    if (monitor !== undefined) checkMonitor(name, monitor, facts, lines);
  }
  if (usable.length === 0) {
    const packages = Object.values(facts.monitors).flatMap((it) => it.package ?? []);
    lines.fail("not one monitor is installed", `apt-get install ${packages[0]}`);
  }
  checkFirmware(facts, lines);
  return lines.lines;
}

function checkMonitor(name: string, monitor: MonitorSurvey, facts: NodeFacts, lines: Lines): void {
  const { path, version, problem } = monitor;
  if (problem === undefined) {
    if (version === undefined) {
      lines.warn(
        `${name}: ${path} does not say its version: is it the monitor?`,
        `${path} --version`,
      );
    } else lines.ok(`${name}: ${path}, version ${version}`);
    checkVersion(name, monitor, facts, lines);
    return;
  }
  const isConfigured = facts.configuration.values.monitors[name]?.path !== undefined;
  const text = `${name}: ${problem.reason}`;
  if (isConfigured || path !== undefined) {
    lines.fail(
      text,
      problem.remedy ?? `correct monitors.${name}.path in ${facts.configuration.path}`,
    );
  } else lines.warn(`${name}: not installed`, installationOf(monitor, problem));
}

function installationOf(monitor: MonitorSurvey, problem: Problem): string {
  return monitor.package === undefined
    ? problem.remedy ?? "install it"
    : `apt-get install ${monitor.package}`;
}

/** Descriptors in place of nodes need a QEMU that takes one of /dev/kvm: 9.0. */
function checkVersion(
  name: string,
  { version, takesDescriptors }: MonitorSurvey,
  { configuration }: NodeFacts,
  lines: Lines,
): void {
  const { device_access: access } = configuration.values;
  if (access !== "fd" || !takesDescriptors || version === undefined) return;
  if (Number(version.split(".")[0]) >= 9) return;
  lines.fail(
    `${name}: device_access = "fd" is configured, and version ${version} cannot be given a descriptor of ` +
      "/dev/kvm (9.0 can)",
    `set device_access = "private" in ${configuration.path}`,
  );
}

function checkFirmware({ firmware, monitors }: NodeFacts, lines: Lines): void {
  for (const [kind, { path, problem }] of Object.entries(firmware)) {
    // Without the monitor it would be one complaint more.
    if (monitors[kind.split(".")[0]!]?.problem !== undefined) continue;
    if (problem === undefined) lines.ok(`firmware ${kind}: ${path}`);
    else lines.fail(`firmware ${kind}: ${problem.reason}`, aptCommand(problem));
  }
}

/** The command in a remedy that has one for Debian. */
function aptCommand({ remedy }: Problem): string | undefined {
  return /Debian: (apt-get install [^)]+)\)/.exec(remedy ?? "")?.[1] ?? remedy;
}

/** What is not needed by every guest. */
export function checkHelpers({ kernels, fileServer, runtime, configuration }: NodeFacts): Line[] {
  const lines = new Lines("programs");
  checkFileServer(fileServer, lines);
  if (kernels?.problem !== undefined) {
    lines.fail(
      `kernels that were added: ${kernels.problem.reason}`,
      kernels.problem.remedy ?? LIST_KERNELS,
    );
  }
  if (kernels !== undefined && kernels.names.length > 0) {
    lines.ok(`kernels: ${kernels.names.join(", ")}`);
  } else if (kernels !== undefined && kernels.problem === undefined) {
    lines.ok("no kernels were added");
  }
  checkNodeKernel(
    kernels?.problem === undefined ? kernels?.names ?? [] : undefined,
    configuration,
    lines,
  );
  if (runtime.problem === undefined) {
    lines.ok(
      `containers that are not guests: ${runtime.path}, version ${runtime.version ?? "unknown"}`,
    );
    return lines.lines;
  }
  const text =
    `containers that are not guests, and sandboxes of pods, cannot run: ${runtime.program}: ` +
    runtime.problem.reason;
  if (configuration.values.guests.undescribed === "refuse") {
    lines.warn(text, installRuntime(runtime.program));
  } else lines.fail(text, installRuntime(runtime.program));
  return lines.lines;
}

/** Guests whose root is a disk or an initial RAM disk, and that have no volumes, do without it. */
function checkFileServer({ path, version, problem }: Found, lines: Lines): void {
  if (problem === undefined) {
    lines.ok(`files of the host in guests: ${path}, version ${version ?? "unknown"}`);
    return;
  }
  lines.warn(
    `a guest can see neither its container's root nor volumes of the host: ${problem.reason}`,
    aptCommand(problem),
  );
}

/** @param names of kernels that were added; undefined: unknown */
function checkNodeKernel(
  names: readonly string[] | undefined,
  { path, values: { guests, "guests.linux": { kernel } } }: NodeFacts["configuration"],
  lines: Lines,
): void {
  if (kernel === undefined) {
    if (guests.undescribed !== "linux") return;
    lines.fail(
      'guests.undescribed is "linux", and guests.linux.kernel names no kernel: no such container starts',
      `add one by urunc kernel add, and name it in ${path}`,
    );
  } else if (names !== undefined && !names.includes(kernel)) {
    lines.fail(
      `guests.linux.kernel = "${kernel}" was not added: images without a kernel do not start`,
      `urunc kernel add --name ${kernel} /boot/vmlinuz-…, or name another in ${path}`,
    );
  }
}

function installRuntime(program: string): string {
  return ["runc", "crun"].includes(program)
    ? `apt-get install ${program}`
    : 'install it, or set oci_runtime = "runc" in the configuration';
}
