/** OCI bundles around the fixture guests, and what a Linux guest is made of. */
import { cacheDirectory } from "./cache.ts";
import type { Solo5Device } from "../../lib/guest/kernel/types.ts";
import { makeElf, makeSolo5 } from "./kernels.ts";
import { baseName } from "../../lib/os/path.ts";
import { run } from "./process.ts";
import { RUN_PREFIX } from "./mark.ts";

const guestDirectory = new URL("../../fixtures/guests/", import.meta.url).pathname;

/** The fixture guest with a PVH entry; fixtures/guests/guest.c says what it can do. */
export const guestKernel = `${guestDirectory}guest.elf`;

/** The same guest with a multiboot header. */
export const multibootGuestKernel = `${guestDirectory}guest-multiboot.elf`;

/** What a bundle differs in from the plainest one. */
export interface BundleOptions {
  /**
   * Host path of the guest kernel, copied to /unikernel/guest.elf in the image. Unless told the fixture
   * guest, or for a monitor that does not start it, one that only says in its headers what it is.
   */
  kernel?: string;
  /** What the manifest of a Solo5 guest declares, where the kernel is not known. */
  solo5Devices?: Solo5Device[];
  /** Host path of an initial RAM disk, copied to /unikernel/initrd in the image. */
  initrd?: string;
  /** `elf` by default. */
  unikernelType?: string;
  /** Entries of /urunc.json by their names after `com.urunc.unikernel.`; undefined removes one. */
  unikernel?: Record<string, string | undefined>;
  /** Annotations by their whole names. */
  annotations?: Record<string, string>;
  /** Adds the annotation that asks for emulation. */
  accelerator?: "kvm" | "tcg";
  /** `["hello"]` by default. */
  args?: string[];
  env?: string[];
  user?: { uid: number; gid: number; additionalGids?: number[]; umask?: number };
  hostname?: string;
  terminal?: boolean;
  /** In bytes. */
  memoryLimit?: number;
  cgroupsPath?: string;
  /** New namespaces of these types; pid, ipc, uts, mount and network by default. */
  namespaces?: { type: string; path?: string }[];
  /** Changes whatever else config.json is to say. */
  edit?: (config: Record<string, unknown> & { process: Record<string, unknown> }) => void;
}

/** A bundle directory, gone after `cleanup`. */
export interface Bundle {
  bundle: string;
  rootfs: string;
  cleanup(): Promise<void>;
}

/**
 * Makes an OCI bundle in a temporary directory: the fixture guest as 65534:65534 without groups,
 * all that makes it a unikernel in `/urunc.json`.
 */
export async function makeBundle(options: BundleOptions = {}): Promise<Bundle> {
  const bundle = await Deno.makeTempDir({ prefix: `${RUN_PREFIX}bundle-` });
  // The monitor's user must be able to pass through, as through a container engine's directories.
  await Deno.chmod(bundle, 0o755);
  const rootfs = `${bundle}/rootfs`;
  await Deno.mkdir(`${rootfs}/unikernel`, { recursive: true });
  const kernel = `${rootfs}/unikernel/guest.elf`;
  await copyReadable(options.kernel ?? guestKernel, kernel);
  if (options.kernel === undefined) writeOtherKernel(kernel, options);
  if (options.initrd !== undefined) {
    await copyReadable(options.initrd, `${rootfs}/unikernel/initrd`);
  }
  await Deno.writeTextFile(`${rootfs}/urunc.json`, JSON.stringify(uruncJson(options), null, 2));
  await Deno.writeTextFile(`${bundle}/config.json`, JSON.stringify(configJson(options), null, 2));
  return { bundle, rootfs, cleanup: () => Deno.remove(bundle, { recursive: true }) };
}

/** The double is a monitor of any name, and the runtime reads what it would start. */
function writeOtherKernel(path: string, { unikernel, solo5Devices }: BundleOptions): void {
  const hypervisor = unikernel?.hypervisor;
  if (hypervisor === "hvt" || hypervisor === "spt") {
    Deno.writeFileSync(path, makeSolo5(hypervisor, solo5Devices));
  } else if (hypervisor === "firecracker") {
    Deno.writeFileSync(path, makeElf());
  }
}

const PREFIX = "com.urunc.unikernel.";

function uruncJson(options: BundleOptions): Record<string, string> {
  const values: Record<string, string | undefined> = {
    unikernelType: options.unikernelType ?? "elf",
    hypervisor: "qemu",
    binary: "/unikernel/guest.elf",
    initrd: options.initrd === undefined ? undefined : "/unikernel/initrd",
    ...options.unikernel,
  };
  const encoded: Record<string, string> = {};
  for (const [key, value] of Object.entries(values)) {
    if (value !== undefined) encoded[`${PREFIX}${key}`] = base64(value);
  }
  return encoded;
}

function configJson(options: BundleOptions): Record<string, unknown> {
  const { user = { uid: 65534, gid: 65534 }, accelerator, memoryLimit } = options;
  const types = ["pid", "ipc", "uts", "mount", "network"];
  const config = {
    ociVersion: "1.2.0",
    hostname: options.hostname ?? "guest",
    root: { path: "rootfs", readonly: true },
    process: {
      terminal: options.terminal ?? false,
      user,
      args: options.args ?? ["hello"],
      env: options.env ?? [],
      cwd: "/",
    },
    annotations: {
      ...(accelerator === undefined ? {} : { [`${PREFIX}accelerator`]: accelerator }),
      ...options.annotations,
    },
    linux: {
      namespaces: options.namespaces ?? types.map((type) => ({ type })),
      ...(options.cgroupsPath === undefined ? {} : { cgroupsPath: options.cgroupsPath }),
      resources: memoryLimit === undefined ? {} : { memory: { limit: memoryLimit } },
    },
  };
  options.edit?.(config);
  return config;
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

async function copyReadable(from: string, to: string): Promise<void> {
  await Deno.copyFile(from, to);
  await Deno.chmod(to, 0o644);
}

/** Debian's kernel for virtual machines, and its one for all machines, in which more is a module. */
export type LinuxKernel = "cloud" | "stock";

/** What a kernel of Debian's consists of, as far as guests need it. */
interface LinuxFiles {
  vmlinuz: string;
  /** Uncompressed modules, in the order in which they are to be loaded. */
  modules: string[];
  /** These, and others. */
  all: string[];
  /** As the package has them. */
  compressed: string[];
}

/** virtio's devices are modules there; the power button, the files of input devices and pvpanic are, too. */
const CLOUD_MODULES = [
  ...["failover", "net_failover", "virtio_net", "virtio_blk", "button", "evdev"],
  ...["pvpanic", "pvpanic-mmio"],
];

/** What initial RAM disks have, in the order in which it is to be loaded. */
const MODULES: Record<LinuxKernel, string[]> = {
  cloud: CLOUD_MODULES,
  stock: [...CLOUD_MODULES, "crc32c_generic", "crc16", "mbcache", "jbd2", "ext4"],
};

/** Others, which no initial RAM disk of ours has. */
const MORE_MODULES = ["overlay", "llc", "stp", "bridge"];

/** The package that stands for the kernel's newest version. */
const KERNEL_PACKAGES: Record<LinuxKernel, string> = {
  cloud: "linux-image-cloud-amd64",
  stock: "linux-image-amd64",
};

/**
 * Path of a kernel of Debian's: fetched with `apt-get download`, never installed, and kept between
 * runs in the tests' cache.
 */
export async function debianKernel(kernel: LinuxKernel = "cloud"): Promise<string> {
  return (await debianLinux(kernel)).vmlinuz;
}

/** Paths of some modules of the cloud kernel, unpacked. */
export async function debianModules(): Promise<string[]> {
  return (await debianLinux("cloud")).all;
}

async function debianLinux(kernel: LinuxKernel): Promise<LinuxFiles> {
  const cache = await cacheDirectory("linux");
  const modules = MODULES[kernel];
  const all = [...modules, ...MORE_MODULES];
  const directory = `${cache}/${kernel}-${all.length}-xz`;
  const files: LinuxFiles = {
    vmlinuz: `${directory}/vmlinuz`,
    modules: modules.map((name) => `${directory}/${name}.ko`),
    all: all.map((name) => `${directory}/${name}.ko`),
    compressed: modules.map((name) => `${directory}/${name}.ko.xz`),
  };
  if (await exists(directory)) return files;
  const work = await Deno.makeTempDir({ dir: cache, prefix: "work-" });
  try {
    // The sandbox user that apt fetches as must be able to write.
    await Deno.chmod(work, 0o777);
    await extractDebianLinux(work, KERNEL_PACKAGES[kernel], all);
    // Whole or not at all; another run may have been quicker.
    await Deno.rename(`${work}/kept`, directory).catch(async (error) => {
      if (!await exists(directory)) throw error;
    });
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  return files;
}

async function extractDebianLinux(
  work: string,
  metaPackage: string,
  modules: string[],
): Promise<void> {
  await run(["apt-get", "-q", "download", await kernelPackage(metaPackage)], {
    cwd: work,
    timeoutSeconds: 300,
    check: true,
  });
  const archive = namesIn(work).find((name) => name.endsWith(".deb"));
  if (archive === undefined) throw new Error("fetch Debian's kernel: apt-get left no package");
  const tree = `${work}/tree`;
  const kept = `${work}/kept`;
  await run(["dpkg-deb", "-x", `${work}/${archive}`, tree], { timeoutSeconds: 120, check: true });
  await Deno.mkdir(kept);
  const vmlinuz = namesIn(`${tree}/boot`).find((name) => name.startsWith("vmlinuz-"));
  if (vmlinuz === undefined) throw new Error(`fetch Debian's kernel: no vmlinuz in ${archive}`);
  await Deno.rename(`${tree}/boot/${vmlinuz}`, `${kept}/vmlinuz`);
  for (const module of modules) {
    // Shell words are arguments here, never part of the script.
    const script = 'cp "$(find "$1" -name "$2.ko.xz")" "$3.xz" && busybox xz -dc "$3.xz" > "$3"';
    await run(["sh", "-ec", script, "sh", tree, module, `${kept}/${module}.ko`], { check: true });
  }
}

/** The versioned package that such a one stands for today. */
async function kernelPackage(metaPackage: string): Promise<string> {
  const find = async () => {
    const { stdout } = await run(["apt-cache", "depends", metaPackage]);
    return /Depends: (linux-image-\S+)/.exec(stdout)?.[1];
  };
  let name = await find();
  if (name === undefined) {
    await run(["apt-get", "-q", "update"], { timeoutSeconds: 300, check: true });
    name = await find();
  }
  if (name === undefined) throw new Error(`fetch Debian's kernel: no ${metaPackage}`);
  return name;
}

/** What a Linux guest does once it is up. */
export interface InitrdOptions {
  /** Printed when the network is up; `Hello from a Linux guest` by default. */
  line?: string;
  /** Serves this text over HTTP on port 80. */
  http?: string;
  /** Shell commands that run before the line is printed. */
  script?: string;
  /** Shell commands that run when the power button is pressed; nobody listens to it by default. */
  onPowerButton?: string;
  /**
   * `sleep` by default: for ever. `reboot` ends the monitor with code 0. `root` goes on with `init=`
   * of the file system that `root=` names, as distributions' own do.
   */
  finally?: "sleep" | "poweroff" | "reboot" | "root";
  /** `cloud` by default. */
  kernel?: LinuxKernel;
  /** Puts the drivers where kmod(8) would look for them, compressed, as distributions do. */
  moduleTree?: boolean;
}

/** An initial RAM disk, gone after `cleanup`. */
export interface Initrd {
  path: string;
  cleanup(): Promise<void>;
}

/**
 * Makes an initial RAM disk for {@linkcode debianKernel} of busybox and an /init. Debian's kernel
 * has no IP autoconfiguration of its own, so /init takes `ip=` from the kernel's command line.
 */
export async function makeLinuxInitrd(options: InitrdOptions = {}): Promise<Initrd> {
  const { kernel = "cloud" } = options;
  const { modules, compressed } = await debianLinux(kernel);
  const directory = await Deno.makeTempDir({ prefix: `${RUN_PREFIX}initrd-` });
  await Deno.chmod(directory, 0o755);
  const tree = `${directory}/tree`;
  const path = `${directory}/initrd`;
  for (const name of ["bin", "dev", "lib", "proc", "sys", "www"]) {
    await Deno.mkdir(`${tree}/${name}`, { recursive: true });
  }
  await Deno.copyFile("/usr/bin/busybox", `${tree}/bin/busybox`);
  if (options.moduleTree) await makeModuleTree(tree, kernel, compressed);
  else for (const module of modules) await Deno.copyFile(module, `${tree}/lib/${baseName(module)}`);
  if (options.http !== undefined) await Deno.writeTextFile(`${tree}/www/index.html`, options.http);
  await Deno.writeTextFile(`${tree}/init`, initScript(options), { mode: 0o755 });
  const pack = 'cd "$1" && find . | cpio --quiet -o -H newc | busybox gzip -1 > "$2"';
  await run(["sh", "-ec", pack, "sh", tree, path], { check: true });
  await Deno.remove(tree, { recursive: true });
  return { path, cleanup: () => Deno.remove(directory, { recursive: true }) };
}

/** What modules need, as depmod(8) writes it. */
const DEPENDENCIES: Record<string, string[]> = {
  net_failover: ["failover"],
  virtio_net: ["net_failover", "failover"],
  ext4: ["jbd2", "crc16", "mbcache"],
};

async function makeModuleTree(
  tree: string,
  kernel: LinuxKernel,
  compressed: string[],
): Promise<void> {
  const directory = `${tree}/lib/modules/${await kernelRelease(kernel)}`;
  await Deno.mkdir(`${directory}/kernel`, { recursive: true });
  // Files have hyphens in their names where modules have underscores.
  const fileOf = (name: string) => `kernel/${name.replaceAll("_", "-")}.ko.xz`;
  const lines = MODULES[kernel].map((name) => {
    const needed = (DEPENDENCIES[name] ?? []).map(fileOf);
    return [`${fileOf(name)}:`, ...needed].join(" ");
  });
  await Deno.writeTextFile(
    `${directory}/modules.dep`,
    ["kernel/other.ko:", ...lines, ""].join("\n"),
  );
  for (const [index, name] of MODULES[kernel].entries()) {
    await Deno.copyFile(compressed[index]!, `${directory}/${fileOf(name)}`);
  }
}

/** What `uname -r` prints: Documentation/arch/x86/boot.rst, kernel_version. */
async function kernelRelease(kernel: LinuxKernel): Promise<string> {
  const image = await Deno.readFile(await debianKernel(kernel));
  const at = new DataView(image.buffer).getUint16(0x20e, true) + 0x200;
  return new TextDecoder().decode(image.subarray(at, at + 100)).split(" ")[0]!;
}

/** Documentation/admin-guide/kernel-parameters.txt: root, rootfstype, init, ro, rw. */
const SWITCH_ROOT = `
mode=ro
for word in $(cat /proc/cmdline); do
  case $word in
    root=*|rootfstype=*|init=*) eval "$word" ;;
    ro|rw) mode=$word ;;
  esac
done
mkdir /root
mount -t "$rootfstype" -o "$mode" "$root" /root
for directory in proc sys dev; do mount --move /$directory /root/$directory; done
exec switch_root /root "$init" "$@"`;

function initScript(options: InitrdOptions): string {
  const ends = {
    sleep: "while :; do sleep 3600; done",
    poweroff: "poweroff -f",
    reboot: "reboot -f",
    root: SWITCH_ROOT,
  };
  return `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in ${MODULES[options.kernel ?? "cloud"].join(" ")}; do insmod /lib/$module.ko; done
ifconfig lo 127.0.0.1
# ip=CLIENT:SERVER:GATEWAY:NETMASK:HOSTNAME:DEVICE:AUTOCONF, Documentation/admin-guide/nfs/nfsroot.rst
for word in $(cat /proc/cmdline); do
  case $word in ip=*)
    IFS=: read -r client _ gateway netmask name device _ <<END
\${word#ip=}
END
    device=\${device:-eth0}
    [ -z "$name" ] || hostname "$name"
    ifconfig "$device" "$client" netmask "$netmask" up
    [ -z "$gateway" ] || route add default gw "$gateway"
  esac
done
${options.http === undefined ? "" : "httpd -p 80 -h /www"}
${options.onPowerButton === undefined ? "" : buttonListener(options.onPowerButton)}
${options.script ?? ""}
echo ${shellQuote(options.line ?? "Hello from a Linux guest")}
${ends[options.finally ?? "sleep"]}
`;
}

/**
 * Waits for one event (24 bytes, input(7)) of the button's device, which is opened before the guest says that
 * it is up: earlier events are lost.
 */
function buttonListener(commands: string): string {
  return `
for input in /sys/class/input/event*; do
  grep -q "Power Button" $input/device/name || continue
  exec 3</dev/input/\${input##*/}
  { dd of=/dev/null bs=24 count=1 <&3 2>/dev/null; ${commands}; } &
done`;
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function namesIn(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map((entry) => entry.name);
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
