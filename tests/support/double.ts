/**
 * The monitor test double (fixtures/double): built here, configured in QEMU's place, its report
 * read here. Its commands are described at the top of its source.
 */
import { cacheDirectory } from "./cache.ts";
import { run } from "./process.ts";
import type { Scope } from "./scope.ts";
import { repositoryDirectory } from "./urunc.ts";

/** An entry of a directory, or an open file, as the double's own stat tells. */
export interface DoubleStat {
  type: "fifo" | "char" | "directory" | "block" | "file" | "symlink" | "socket" | "other";
  /** Permission bits. */
  mode: number;
  uid: number;
  gid: number;
  size: number;
  /** Of the device that a node stands for. */
  major: number;
  minor: number;
}

/** What the double says on `report`. Sets of bits are 16 hexadecimal digits. */
export interface DoubleReport {
  argv: string[];
  env: string[];
  fds: (DoubleStat & { fd: number; flags: number; dev: number; ino: number })[];
  /** Real, effective, saved. */
  uids: number[];
  gids: number[];
  groups: number[];
  capabilities: Record<
    "inheritable" | "permitted" | "effective" | "bounding" | "ambient",
    string
  >;
  noNewPrivs: number;
  seccomp: number;
  secureBits: number;
  keepCapabilities: number;
  parentDeathSignal: number;
  umask: number;
  signalsBlocked: string;
  signalsIgnored: string;
  cwd: string;
  pid: number;
  ppid: number;
  sid: number;
  pgid: number;
  hostname: string;
  domainname: string;
  /** A serial number, or the negative errno. */
  sessionKeyring: number;
  /** `keyring;UID;GID;PERMISSIONS;NAME` */
  sessionKeyringDescription: string;
  /** By number, see sys/resource.h: 7 is RLIMIT_NOFILE. */
  rlimits: { soft: string; hard: string }[];
  /** ST_ flags of the file systems at / and /dev, see statfs(2). */
  rootFlags?: string;
  devFlags?: string;
  root: (DoubleStat & { name: string })[];
  dev: (DoubleStat & { name: string })[];
  devNet: (DoubleStat & { name: string })[];
  /** The paths that `report` was given: 0, or the errno of opening them for reading. */
  opens: Record<string, { errno: number }>;
}

/** Freestanding: no start files, no C library, nothing that needs a run-time. */
const FLAGS = [
  "-std=c11",
  "-O2",
  "-Wall",
  "-Wextra",
  "-Werror",
  "-static",
  "-nostdlib",
  "-ffreestanding",
  "-fno-stack-protector",
  "-fno-pie",
  "-no-pie",
  "-fno-asynchronous-unwind-tables",
  "-Wl,--build-id=none,-z,noexecstack,-s",
];

let built: Promise<string> | undefined;

/**
 * The absolute path of the double, built with gcc when this source was not built here before.
 * Tests that use it need `gcc`.
 */
export function doubleBinary(): Promise<string> {
  return built ??= build();
}

async function build(): Promise<string> {
  const directory = `${repositoryDirectory()}fixtures/double`;
  const source = `${directory}/double.c`;
  const content = await Promise.all(
    [source, `${directory}/attempts.h`, `${directory}/files.h`].map((it) => Deno.readTextFile(it)),
  );
  const bytes = new TextEncoder().encode(content.join(""));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const name = Array.from(digest.slice(0, 8), (it) => it.toString(16).padStart(2, "0")).join("");
  const path = `${await cacheDirectory("double")}/double-${name}`;
  try {
    await Deno.stat(path);
  } catch {
    // Renamed into place: another test process may be at it, too.
    const temporary = `${path}.${Deno.pid}`;
    await run(["gcc", ...FLAGS, "-o", temporary, source], { check: true });
    await Deno.chmod(temporary, 0o755);
    await Deno.rename(temporary, path);
  }
  return path;
}

/** What the double does to see and to try, and no monitor does. */
const DOUBLE_CALLS = [
  ...["capget", "getcwd", "getdents64", "getpgid", "getsid", "keyctl", "prctl", "statfs", "umask"],
  ...["connect", "ioctl", "mknod", "pwrite64", "socket", "wait4"],
];

/**
 * A table of the configuration that makes the double a monitor.
 *
 * @param monitor its name
 * @param calls that its filter allows besides the monitor's
 */
export async function doubleTable(monitor: string, calls = DOUBLE_CALLS): Promise<string> {
  const path = JSON.stringify(await doubleBinary());
  return `[monitors.${monitor}]\npath = ${path}\nsystem_calls = ${JSON.stringify(calls)}\n`;
}

/**
 * An operator's configuration in which the monitor QEMU is the double.
 *
 * @param extra more lines of TOML, put before the monitor's table
 * @returns the file's path, for `--config`
 */
export async function doubleConfiguration(scope: Scope, extra = ""): Promise<string> {
  const path = `${await scope.temporaryDirectory("config")}/config.toml`;
  await Deno.writeTextFile(path, `${extra}\n${await doubleTable("qemu")}`);
  return path;
}

/** The first report in what the double printed. */
export function parseReport(output: string): DoubleReport {
  const line = output.split("\n").find((it) => it.startsWith('{"argv"'));
  if (line === undefined) throw new Error(`no report in the output: ${JSON.stringify(output)}`);
  return JSON.parse(line);
}

/** Descriptors besides the standard files, and besides QEMU's connection for events. */
export function extraFds({ argv, fds }: DoubleReport): DoubleReport["fds"] {
  const [, events] = /\bsocket,id=events,fd=(\d+)\b/.exec(argv.join("\n")) ?? [];
  return fds.filter(({ fd }) => fd > 2 && fd !== Number(events));
}
