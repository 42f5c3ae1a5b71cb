/**
 * The node's disk: Debian with systemd and everything an operator of containers has, built once and
 * kept in the tests' cache. A boot never writes to it.
 */
import { cacheDirectory } from "../support/cache.ts";
import { run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";

/** What a node boots from. */
export interface NodeImage {
  /** A raw disk with one ext4 file system over all of it. */
  disk: string;
  kernel: string;
  initrd: string;
}

const SUITE = "trixie";

/** Sparse: what the tests write beyond it goes to a temporary file of the boot. */
const DISK_SIZE = "8G";

const PACKAGES = [
  // The node itself.
  "linux-image-cloud-amd64",
  "systemd",
  "systemd-sysv",
  "dbus",
  "udev",
  "openssh-server",
  "kmod",
  "apparmor",
  "e2fsprogs",
  "mount",
  "acl",
  "dmsetup",
  "thin-provisioning-tools",
  "iproute2",
  "iptables",
  "iputils-ping",
  "procps",
  // Callers and their runtimes.
  "containerd",
  "docker.io",
  "docker-cli",
  "runc",
  "podman",
  "conmon",
  "crun",
  "netavark",
  "aardvark-dns",
  "nftables",
  "containernetworking-plugins",
  // The monitor, and what the tests use.
  "qemu-system-x86",
  "busybox-static",
  "gcc",
  "libc6-dev",
  "cpio",
  "strace",
  // What kernels and their modules are compressed by, which a Debian that was installed has.
  "xz-utils",
  "zstd",
  "tcpdump",
];

/** Images that no boot used for this long are removed when another is built. */
const KEPT_DAYS = 7;

const directory = new URL("image/", import.meta.url).pathname;

/**
 * The image, built when this description was not built here before. Only what this repository says
 * is in the key, not the day's versions of Debian's packages.
 *
 * @param say one line at a time
 * @throws Error when it cannot be built: what mmdebstrap said is in the message
 */
export async function nodeImage(say: (line: string) => void = console.log): Promise<NodeImage> {
  const cache = await cacheDirectory("vm");
  const place = `${cache}/image-${await contentKey()}`;
  using lock = await Deno.open(`${cache}/lock`, { create: true, write: true });
  // Another run builds the same: it is quicker to wait. The lock ends with this process.
  await lock.lock(true);
  if (!await exists(place)) {
    say(`building the node's image with mmdebstrap: ${PACKAGES.length} packages`);
    const started = performance.now();
    await removeOld(cache, say);
    await build(cache, place);
    say(`the node's image is built: ${((performance.now() - started) / 1000).toFixed(1)} s`);
  }
  await Deno.utime(place, new Date(), new Date());
  return { disk: `${place}/disk`, kernel: `${place}/vmlinuz`, initrd: `${place}/initrd` };
}

async function contentKey(): Promise<string> {
  const parts = [SUITE, DISK_SIZE, ...PACKAGES, ...BUILD_OPTIONS];
  const walk = async (path: string) => {
    const entries = [...Deno.readDirSync(path)].sort((a, b) => a.name < b.name ? -1 : 1);
    for (const { name, isDirectory } of entries) {
      if (isDirectory) await walk(`${path}${name}/`);
      else parts.push(name, await Deno.readTextFile(`${path}${name}`));
    }
  };
  await walk(directory);
  const bytes = new TextEncoder().encode(JSON.stringify(parts));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest.slice(0, 8), (it) => it.toString(16).padStart(2, "0")).join("");
}

/** What the initial RAM disk needs to find the disk; Debian's own choice takes seconds to unpack. */
const INITRD_MODULES = ["virtio_pci", "virtio_blk", "ext4"];

const BUILD_OPTIONS = [
  "--mode=root",
  "--variant=minbase",
  `--include=${PACKAGES.join(",")}`,
  '--aptopt=APT::Install-Recommends "false"',
  "--dpkgopt=path-exclude=/usr/share/man/*",
  "--dpkgopt=path-exclude=/usr/share/locale/*",
  "--dpkgopt=path-exclude=/usr/share/doc/*",
  '--essential-hook=mkdir -p "$1/etc/initramfs-tools/conf.d"',
  '--essential-hook=echo MODULES=list >"$1/etc/initramfs-tools/conf.d/node"',
  `--essential-hook=printf "%s\\n" ${INITRD_MODULES.join(" ")} >"$1/etc/initramfs-tools/modules"`,
];

/**
 * For a command that mounts and starts processes: neither can stay, however it or its starter ends, and
 * this machine's mounts stay as they are.
 */
export const APART = [
  ...["setpriv", "--pdeathsig", "KILL"],
  ...["unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"],
];

async function build(cache: string, place: string): Promise<void> {
  await using scope = new Scope();
  const work = await Deno.makeTempDir({ dir: cache, prefix: "work-" });
  scope.defer(`remove ${work}`, async () => {
    const remove = () => Deno.remove(work, { recursive: true });
    // What was killed may have made a file just now.
    await remove().catch(() => new Promise((resolve) => setTimeout(resolve, 1000)).then(remove));
  });
  const tree = `${work}/root.tar`;
  const kept = `${work}/kept`;
  await Deno.mkdir(kept);
  await run([
    ...APART,
    "mmdebstrap",
    ...BUILD_OPTIONS,
    ...await networkOptions(),
    `--customize-hook='${directory}customize.sh' "$1" '${directory}root'`,
    `--customize-hook=cp "$1"/boot/vmlinuz-* '${kept}/vmlinuz'`,
    `--customize-hook=cp "$1"/boot/initrd.img-* '${kept}/initrd'`,
    SUITE,
    tree,
    ...aptSources(),
  ], { env: { TMPDIR: work }, cwd: work, timeoutSeconds: 15 * 60, check: true, scope });
  await run(["truncate", "--size", DISK_SIZE, `${kept}/disk`], { check: true });
  await run(["mkfs.ext4", "-q", "-F", "-d", tree, `${kept}/disk`], {
    timeoutSeconds: 300,
    check: true,
    scope,
  });
  // Whole or not at all.
  await Deno.rename(kept, place);
}

/** This machine's own package sources, without those of local files. */
function aptSources(): string[] {
  const found = ["/etc/apt/sources.list"];
  try {
    for (const { name } of Deno.readDirSync("/etc/apt/sources.list.d")) {
      if (/\.(list|sources)$/.test(name)) found.push(`/etc/apt/sources.list.d/${name}`);
    }
  } catch { /* there is no such directory */ }
  return found.filter((path) => {
    try {
      const text = Deno.readTextFileSync(path).replace(/^\s*#.*$/gm, "");
      return text.trim() !== "" && !/\bfile:|\bcdrom:/.test(text) && text.includes(SUITE);
    } catch {
      return false;
    }
  });
}

/** How this machine's apt gets at its sources: proxies, and checks that it leaves out. */
async function networkOptions(): Promise<string[]> {
  const { stdout } = await run(["apt-config", "dump", "Acquire"], { check: true });
  return stdout.split("\n")
    .filter((it) => /^Acquire::(?:https?::Proxy\S*|Check-\S*|Retries) "/.test(it))
    .map((it) => `--aptopt=${it.replace(/;$/, "")}`);
}

/**
 * Removes images that were not used for long, and what killed builds left. Nobody else may be building.
 *
 * @param say gets what cannot be removed: something may still be mounted there, in nobody's way
 */
export async function removeOld(cache: string, say: (line: string) => void): Promise<void> {
  const limit = Date.now() - KEPT_DAYS * 24 * 3600 * 1000;
  for (const { name } of Deno.readDirSync(cache)) {
    const path = `${cache}/${name}`;
    // What is still in the making was left by a killed run.
    const stale = name.startsWith("work-") ||
      name.startsWith("image-") && Deno.statSync(path).mtime!.getTime() < limit;
    if (!stale) continue;
    try {
      await Deno.remove(path, { recursive: true });
    } catch (error) {
      say(`cannot remove ${path}: ${error instanceof Error ? error.message : error}`);
    }
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
