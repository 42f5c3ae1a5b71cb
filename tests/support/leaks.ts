/**
 * What a test could leave behind on the machine, and what it could change there: looked at before
 * and after.
 */
import { listPids, readCommandLine } from "./process.ts";
import { TEMPORARY_PREFIX } from "./scope.ts";
import { repositoryDirectory } from "./urunc.ts";

/** The machine at one moment: for each kind of thing, what is there by name, and its state. */
export type Snapshot = Record<string, Map<string, string>>;

/** Host files whose owner, mode and access control list nobody may change. */
const WATCHED_FILES = [
  "/dev/kvm",
  "/dev/net/tun",
  "/dev/vhost-net",
  "/dev/null",
  "/dev/zero",
  "/dev/full",
  "/dev/random",
  "/dev/urandom",
  "/dev/tty",
  "/dev/ptmx",
  "/dev/console",
  "/dev/loop-control",
  "/dev",
  "/tmp",
  "/run",
  "/lib",
  "/lib64",
  "/usr/lib",
  "/usr/lib64",
  "/etc",
  "/var",
];

/** Directories of the cgroup tree that callers or urunc make bear one of these. */
const CGROUP_NAMES = /urunc|docker|libpod|conmon|containerd|k8s|crun/;

/** Looks at the machine now. */
export function takeSnapshot(): Snapshot {
  return {
    mount: mounts(),
    "network link": new Map(namesIn("/sys/class/net").map((it) => [it, "there"])),
    "loop device": loopDevices(),
    cgroup: cgroups(),
    "file in /run": runFiles(),
    "temporary file": new Map(
      ["/tmp", "/var/tmp"].flatMap((directory) =>
        namesIn(directory).filter((it) => it.startsWith(TEMPORARY_PREFIX))
          .map((it) => [`${directory}/${it}`, "there"])
      ),
    ),
    process: processes(),
    "host file": new Map(WATCHED_FILES.map((it) => [it, describeFile(it)])),
  };
}

/**
 * What is new in the second snapshot, and which host files are no longer as they were, one sentence
 * each. What has gone is no leak.
 */
export function findLeaks(before: Snapshot, after: Snapshot): string[] {
  const leaks: string[] = [];
  for (const [kind, things] of Object.entries(after)) {
    for (const [name, state] of things) {
      const earlier = before[kind]?.get(name);
      if (earlier === undefined) leaks.push(`${kind} left: ${name}`);
      else if (kind === "host file" && earlier !== state) {
        leaks.push(`${kind} changed: ${name} was ${earlier}, is ${state}`);
      }
    }
  }
  return leaks;
}

/**
 * Fails when something is left or changed.
 *
 * @param only looks only at leaks whose sentence matches: tests of other programs may run at the
 *   same time
 * @throws Error that lists all of it
 */
export function assertNoLeaks(before: Snapshot, after: Snapshot, only = /^/): void {
  const leaks = findLeaks(before, after).filter((it) => only.test(it));
  if (leaks.length > 0) throw new Error(leaks.join("\n"));
}

function namesIn(directory: string): string[] {
  try {
    return [...Deno.readDirSync(directory)].map((it) => it.name);
  } catch {
    return [];
  }
}

function mounts(): Map<string, string> {
  const found = new Map<string, string>();
  for (const line of Deno.readTextFileSync("/proc/self/mountinfo").split("\n")) {
    const fields = line.split(" ");
    const separator = fields.indexOf("-");
    if (separator < 0) continue;
    const base = `${fields[4]} (${fields[separator + 1]})`;
    // The same place can be mounted over several times.
    let name = base;
    for (let n = 2; found.has(name); n++) name = `${base} #${n}`;
    found.set(name, "there");
  }
  return found;
}

function loopDevices(): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of namesIn("/sys/block").filter((it) => it.startsWith("loop"))) {
    try {
      const file = Deno.readTextFileSync(`/sys/block/${name}/loop/backing_file`).trim();
      found.set(`/dev/${name} on ${file}`, "there");
    } catch { /* not in use */ }
  }
  return found;
}

function cgroups(): Map<string, string> {
  const found = new Map<string, string>();
  const walk = (directory: string) => {
    let entries: Deno.DirEntry[] = [];
    try {
      entries = [...Deno.readDirSync(directory)];
    } catch { /* it has just been removed */ }
    for (const { name, isDirectory } of entries) {
      if (!isDirectory) continue;
      const path = `${directory}/${name}`;
      if (CGROUP_NAMES.test(path)) found.set(path, "there");
      walk(path);
    }
  };
  walk("/sys/fs/cgroup");
  return found;
}

function runFiles(): Map<string, string> {
  const found = namesIn("/run").filter((it) => /^(urunc|docker|containerd)/.test(it))
    .map((it) => `/run/${it}`);
  found.push(...namesIn("/run/containerd/s").map((it) => `/run/containerd/s/${it}`));
  found.push(...namesIn("/run/urunc").map((it) => `/run/urunc/${it}`));
  return new Map(found.map((it) => [it, "there"]));
}

/** Ours by executable or argument; a QEMU when it runs in another mount namespace. */
function processes(): Map<string, string> {
  const found = new Map<string, string>();
  const ownMounts = Deno.readLinkSync("/proc/self/ns/mnt");
  for (const pid of listPids()) {
    if (pid === Deno.pid) continue;
    const argv = readCommandLine(pid);
    const executable = link(`/proc/${pid}/exe`) ?? "";
    const ours = executable.startsWith(`${repositoryDirectory()}dist/`) ||
      executable.includes("/urunc-tests/") ||
      argv.some((it) => it.includes(`/${TEMPORARY_PREFIX}`)) ||
      (/\/qemu-system-[^/]*$/.test(executable) && link(`/proc/${pid}/ns/mnt`) !== ownMounts);
    if (!ours) continue;
    found.set(`${pid} started at ${startTime(pid)}: ${argv.join(" ").slice(0, 200)}`, "there");
  }
  return found;
}

function link(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return undefined;
  }
}

/** Field 22 of /proc/PID/stat, in clock ticks: with it a reused pid is another process. */
function startTime(pid: number): string {
  try {
    const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? "?";
  } catch {
    return "?";
  }
}

function describeFile(path: string): string {
  try {
    const { mode, uid, gid } = Deno.statSync(path);
    const access = accessList(path);
    const target = link(path);
    return `${uid}:${gid} ${((mode ?? 0) & 0o7777).toString(8).padStart(4, "0")}` +
      (access === "" ? "" : ` acl ${access}`) + (target === undefined ? "" : ` -> ${target}`);
  } catch {
    return "absent";
  }
}

let libc: Deno.DynamicLibrary<typeof SYMBOLS> | undefined;
const SYMBOLS = {
  // ssize_t getxattr(const char *path, const char *name, void *value, size_t size);
  getxattr: { parameters: ["buffer", "buffer", "buffer", "usize"], result: "isize" },
} as const;

/** The POSIX access list in hexadecimal, empty when there is none beyond the mode. */
function accessList(path: string): string {
  libc ??= Deno.dlopen("libc.so.6", SYMBOLS);
  const value = new Uint8Array(4096);
  const length = libc.symbols.getxattr(
    new TextEncoder().encode(`${path}\0`),
    new TextEncoder().encode("system.posix_acl_access\0"),
    value,
    BigInt(value.length),
  );
  return Array.from(
    value.subarray(0, Math.max(0, Number(length))),
    (it) => it.toString(16).padStart(2, "0"),
  ).join("");
}
