/**
 * What this run of the tests could leave behind on the machine, and what it could change there: looked
 * at before and after. Others may come and go meanwhile: what is compared bears the run's mark.
 */
import { RUN_MARK } from "./mark.ts";
import { listPids, readCommandLine } from "./process.ts";
import { inNode } from "./skip.ts";
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

/**
 * Whether a thing is this run's, by texts about it. In a node everything is: its daemons are systemd's,
 * and nobody else is there.
 */
function isOurs(...evidence: string[]): boolean {
  return inNode() || evidence.some((it) => it.includes(RUN_MARK));
}

/** Looks at the machine now. */
export function takeSnapshot(): Snapshot {
  return {
    mount: mounts(),
    "network link": named(networkLinks()),
    "loop device": named(loopDevices()),
    cgroup: named(cgroups()),
    "file in /run": named(runFiles()),
    "temporary file": named(temporaryFiles()),
    process: named(processes()),
    "host file": new Map(WATCHED_FILES.map((it) => [it, describeFile(it)])),
  };
}

function named(names: string[]): Map<string, string> {
  return new Map(names.map((it) => [it, "there"]));
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

function entriesOf(directory: string): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(directory)];
  } catch {
    return [];
  }
}

function namesIn(directory: string): string[] {
  return entriesOf(directory).map((it) => it.name);
}

function mounts(): Map<string, string> {
  const found = new Map<string, string>();
  for (const line of readText("/proc/self/mountinfo").split("\n")) {
    const fields = line.split(" ");
    const separator = fields.indexOf("-");
    if (separator < 0 || !isOurs(line)) continue;
    const base = `${fields[4]} (${fields[separator + 1]})`;
    // The same place can be mounted over several times.
    let name = base;
    for (let n = 2; found.has(name); n++) name = `${base} #${n}`;
    found.set(name, "there");
  }
  return found;
}

/** What this run has mounted in a process's namespace, as mountinfo has it: others' come and go. */
export function markedMounts(pid: number | "self" = "self"): string[] {
  return readText(`/proc/${pid}/mountinfo`).split("\n").filter((it) => it.includes(RUN_MARK));
}

/** One of a pair that a namespace holds is not looked for: it goes with what holds the namespace. */
function networkLinks(): string[] {
  return namesIn("/sys/class/net").filter((it) => isOurs(it));
}

function loopDevices(): string[] {
  return namesIn("/sys/block").filter((it) => it.startsWith("loop")).flatMap((name) => {
    const file = readText(`/sys/block/${name}/loop/backing_file`).trim();
    return file !== "" && isOurs(file) ? [`/dev/${name} on ${file}`] : [];
  });
}

function cgroups(): string[] {
  const found: string[] = [];
  const walk = (directory: string) => {
    for (const { name, isDirectory } of entriesOf(directory)) {
      if (!isDirectory) continue;
      const path = `${directory}/${name}`;
      if (CGROUP_NAMES.test(path) && isOurs(path)) found.push(path);
      walk(path);
    }
  };
  walk("/sys/fs/cgroup");
  return found;
}

function temporaryFiles(): string[] {
  return ["/tmp", "/var/tmp"].flatMap((directory) =>
    namesIn(directory).filter((it) => it.startsWith("urunc-test-") && isOurs(it))
      .map((it) => `${directory}/${it}`)
  );
}

/** Of urunc, and of the daemons: other people's are there, too. */
function runFiles(): string[] {
  const states = namesIn("/run/urunc").map((it) => `/run/urunc/${it}`)
    .filter((it) => isOurs(it, ...textsBelow(it)));
  const directories = namesIn("/run").filter((it) => /^(urunc|docker|containerd)/.test(it))
    .map((it) => `/run/${it}`).filter((it) => inNode() || isUnused(it));
  return [...directories, ...states, ...hostIds(), ...shimSockets()];
}

/** Ids that containers had: links to their directories. */
function hostIds(): string[] {
  const directory = "/run/urunc/~ids";
  return namesIn(directory).filter((it) => it !== "lock").map((it) => `${directory}/${it}`)
    .filter((it) => isOurs(readLink(it)));
}

function readLink(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch {
    // It is gone by now.
    return "";
  }
}

/** Nobody's daemon has anything in it: urunc keeps its own, others' are theirs as long as they run. */
function isUnused(directory: string): boolean {
  return directory !== "/run/urunc" && entriesOf(directory).length === 0;
}

/** Of a shim that runs the process shows whose it is; one that has ended removes its socket. */
function shimSockets(): string[] {
  const bound = readText("/proc/net/unix");
  return namesIn("/run/containerd/s").map((it) => `/run/containerd/s/${it}`)
    .filter((it) => inNode() || !bound.includes(it));
}

/** What the files of a directory say. */
function textsBelow(directory: string): string[] {
  return entriesOf(directory).filter((it) => it.isFile)
    .map((it) => readText(`${directory}/${it.name}`));
}

/**
 * What the tests started, and what that started: the mark is in the environment, in the arguments, in
 * the name of the cgroup, or in the paths of what is mounted for it (a monitor has no environment). In a
 * node, ours by executable or argument; a QEMU or waiter when it runs in another mount namespace.
 */
function processes(): string[] {
  const isStarted = inNode() ? isStartedInNode() : isMarked;
  return listPids().filter((it) => it !== Deno.pid && isStarted(it)).map((pid) =>
    `${pid} started at ${startTime(pid)}: ${readCommandLine(pid).join(" ").slice(0, 200)}`
  );
}

function isMarked(pid: number): boolean {
  // A zombie waits for its parent, a thread of the kernel is nobody's.
  if (readCommandLine(pid).length === 0) return false;
  const texts = ["environ", "cmdline", "cgroup"].map((it) => readText(`/proc/${pid}/${it}`));
  return isOurs(...texts, foreignMounts(pid));
}

/** What is mounted for a process whose root is another than ours; a copy of ours says nothing of it. */
function foreignMounts(pid: number): string {
  const mounts = readText(`/proc/${pid}/mountinfo`);
  return rootOf(mounts) === rootOf(readText("/proc/self/mountinfo")) ? "" : mounts;
}

/** Device and directory of what is mounted at `/`: proc_pid_mountinfo(5). */
function rootOf(mounts: string): string | undefined {
  return mounts.split("\n").map((it) => it.split(" ")).find((it) => it[4] === "/")
    ?.slice(2, 4).join(" ");
}

function isStartedInNode(): (pid: number) => boolean {
  const ownMounts = link("/proc/self/ns/mnt");
  return (pid) => {
    const executable = link(`/proc/${pid}/exe`) ?? "";
    return executable.startsWith(`${repositoryDirectory()}dist/`) ||
      executable.includes("/urunc-tests/") ||
      readCommandLine(pid).some((it) => it.includes("/urunc-test-")) ||
      (/\/qemu-system-[^/]*$|^\/urunc-waiter$/.test(executable) &&
        link(`/proc/${pid}/ns/mnt`) !== ownMounts);
  };
}

/** Empty when it is not there, or is not to be read. */
function readText(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
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
