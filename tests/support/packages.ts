/**
 * Debian packages that tests and the demo need: said before they are installed, and installed so
 * that nothing is started and nothing is enabled for the next boot.
 */
import { run } from "./process.ts";
import { Scope } from "./scope.ts";

/** A Debian package and why it is wanted. */
export interface PackageWish {
  package: string;
  purpose: string;
  /** Unit tests use it, too, and are skipped without it. */
  unit?: true;
}

/** What the whole test run uses. */
export const TEST_PACKAGES: PackageWish[] = [
  { package: "qemu-system-x86", purpose: "the monitor" },
  { package: "virtiofsd", purpose: "shares files with guests" },
  { package: "qemu-utils", purpose: "another QEMU that wants a guest's disk" },
  {
    package: "busybox-static",
    purpose: "user land of the Linux guests and of plain containers",
    unit: true,
  },
  {
    package: "gcc",
    purpose: "checks the kernel structures and builds the monitor's test double",
    unit: true,
  },
  { package: "libc6-dev", purpose: "the C headers for it", unit: true },
  { package: "iproute2", purpose: "network set-up and inspection by the tests" },
  { package: "iputils-ping", purpose: "pings guests" },
  { package: "nftables", purpose: "shows the rules of a Knative guest's network" },
  { package: "iptables", purpose: "docker's bridge network" },
  { package: "cpio", purpose: "initial RAM disks of Linux guests" },
  { package: "acl", purpose: "access lists of device nodes" },
  { package: "strace", purpose: "observes what the executable opens" },
  {
    package: "xz-utils",
    purpose: "kernels and modules as distributions compress them",
    unit: true,
  },
  { package: "zstd", purpose: "the same", unit: true },
  { package: "lz4", purpose: "the same", unit: true },
  { package: "groff-base", purpose: "checks the manual pages", unit: true },
  { package: "zsh", purpose: "completes command lines", unit: true },
  { package: "fish", purpose: "completes command lines", unit: true },
  { package: "runc", purpose: "the runtime to compare with" },
  { package: "containerd", purpose: "a caller" },
  { package: "docker.io", purpose: "a caller" },
  { package: "docker-cli", purpose: "a caller" },
  { package: "podman", purpose: "a caller" },
  { package: "conmon", purpose: "what podman calls the runtime through" },
  { package: "containernetworking-plugins", purpose: "networks of pods, for CRI and ctr" },
  { package: "mmdebstrap", purpose: "builds the node that tests boot" },
  { package: "e2fsprogs", purpose: "makes the node's disks" },
  { package: "fio", purpose: "writes and verifies files in guests" },
  { package: "stress-ng", purpose: "stresses the file systems of guests" },
  { package: "libarchive13t64", purpose: "mkfs.ext4 fills a disk from a tar with it" },
  { package: "openssh-client", purpose: "runs tests in the node" },
  {
    package: "protobuf-compiler",
    purpose: "judges the encoding of the messages of containerd",
    unit: true,
  },
];

/** What these groups of tests use. */
export function packagesFor(groups: string[]): PackageWish[] {
  return groups.some((it) => it !== "unit") ? TEST_PACKAGES : TEST_PACKAGES.filter((it) => it.unit);
}

/** Which of the packages are not installed. */
export async function missingPackages(wishes: PackageWish[]): Promise<PackageWish[]> {
  const format = "${Package} ${db:Status-Status}\n";
  const names = wishes.map((it) => it.package);
  // Exit code 1 only says that some are unknown.
  const { stdout } = await run(["dpkg-query", "-W", "-f", format, ...names]);
  const installed = new Set(
    stdout.split("\n").map((it) => it.split(" ")).filter((it) => it[1] === "installed")
      .map((it) => it[0]),
  );
  return wishes.filter((it) => !installed.has(it.package));
}

/**
 * Installs what is missing, when this user can; says so first. Daemons are neither started (a
 * `policy-rc.d` forbids it, and what stood in its place is put back exactly) nor enabled (the
 * maintainer scripts' helpers that would are replaced, for these scripts only, by ones that do
 * nothing).
 *
 * @param wishes packages and their purposes
 * @param say one line at a time
 * @returns the packages that are still missing
 */
export async function installPackages(
  wishes: PackageWish[],
  say: (line: string) => void = console.log,
): Promise<PackageWish[]> {
  const missing = await missingPackages(wishes);
  if (missing.length === 0) return [];
  if (Deno.uid() !== 0) {
    say(`not root, so not installed: ${missing.map((it) => it.package).join(" ")}`);
    return missing;
  }
  say("installing from Debian (nothing is started or enabled):");
  for (const it of missing) say(`  ${it.package}: ${it.purpose}`);
  await using scope = new Scope();
  const helpers = await inertHelpers(scope);
  await forbidStarting(scope);
  const env = {
    DEBIAN_FRONTEND: "noninteractive",
    // Should needrestart be there: it must not restart anything either.
    NEEDRESTART_SUSPEND: "1",
  };
  const enabled = startLinks();
  await run(["apt-get", "-q", "update"], { env, timeoutSeconds: 300, check: true });
  await run([
    "apt-get",
    "-q",
    "-y",
    "--no-install-recommends",
    "-o",
    "DPkg::Lock::Timeout=120",
    // The search path of maintainer scripts; apt gives them its own, not the caller's.
    "-o",
    `DPkg::Path=${helpers}:/usr/sbin:/usr/bin:/sbin:/bin`,
    "install",
    ...missing.map((it) => it.package),
  ], { env, timeoutSeconds: 1200, check: true });
  const added = startLinks().filter((it) => !enabled.includes(it));
  if (added.length > 0) throw new Error(`the installation enabled services: ${added.join(" ")}`);
  return await missingPackages(wishes);
}

/** Found by maintainer scripts through PATH; these enable, unmask or start services. */
const HELPERS = ["deb-systemd-helper", "deb-systemd-invoke", "update-rc.d", "invoke-rc.d"];

async function inertHelpers(scope: Scope): Promise<string> {
  const directory = await scope.temporaryDirectory("helpers");
  for (const name of HELPERS) {
    await Deno.writeTextFile(`${directory}/${name}`, "#!/bin/sh\nexit 0\n", { mode: 0o755 });
  }
  return directory;
}

/** The links by which systemd and the old init start services. */
function startLinks(): string[] {
  const links: string[] = [];
  const walk = (directory: string, deep: boolean) => {
    for (const { name, isDirectory, isSymlink } of entries(directory)) {
      if (isSymlink) links.push(`${directory}/${name}`);
      if (isDirectory && deep) walk(`${directory}/${name}`, deep);
    }
  };
  walk("/etc/systemd", true);
  for (const level of "0123456S") walk(`/etc/rc${level}.d`, false);
  return links;
}

function entries(directory: string): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(directory)];
  } catch {
    return [];
  }
}

const POLICY = "/usr/sbin/policy-rc.d";

/** @see invoke-rc.d(8): 101 forbids the action */
async function forbidStarting(scope: Scope): Promise<void> {
  const kept = `${POLICY}.urunc-tests-kept`;
  if (await exists(kept)) {
    throw new Error(`${kept} is in the way: a killed run left it; put it back`);
  }
  const hadOne = await exists(POLICY);
  // Renamed, not copied: owner, mode, times and a symlink come back as they were.
  if (hadOne) await Deno.rename(POLICY, kept);
  scope.defer(`restore ${POLICY}`, async () => {
    if (hadOne) await Deno.rename(kept, POLICY);
    else await Deno.remove(POLICY);
  });
  await Deno.writeTextFile(POLICY, "#!/bin/sh\nexit 101\n");
  await Deno.chmod(POLICY, 0o755);
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch {
    return false;
  }
}
