import { close } from "../../ffi/linux.ts";
import { findFileServer, mostOpenFiles } from "../host/file_server.ts";
import type { Configuration } from "../config/types.ts";
import { findRootDisk, hostNode } from "../block/root_disk.ts";
import { InvalidConfigurationError, UnsupportedError } from "../errors.ts";
import type { Credentials } from "../host/access.ts";
import { blockImage, deviceDisks, volumeDisks } from "../inspect/disks.ts";
import { gatherHostFacts, groupNamesOf } from "../inspect/facts.ts";
import { openImageRoot } from "../inspect/image.ts";
import { fileSystemOf } from "../host/mounts.ts";
import { readPodSysctls } from "../inspect/pod.ts";
import { readUruncJson } from "../inspect/urunc_json.ts";
import { isSameIdentity, readBounded, readFileIdentity } from "../os/files.ts";
import { readHosts, readResolvConf } from "../inspect/resolv_conf.ts";
import { copiedMountFacts } from "../inspect/copied.ts";
import { sharedMountFacts } from "../inspect/shared.ts";
import type { DiskFacts, HostFacts } from "../inspect/types.ts";
import { KernelStore } from "../kernels/store.ts";
import { monitorByName, supportedMonitors } from "../monitor/registry.ts";
import type { Monitor } from "../monitor/types.ts";
import { decodeSpec, maximumSpecBytes } from "../oci/parse.ts";
import { diskDevices } from "../oci/disk_devices.ts";
import { hasUserNamespace, rootOnHost } from "../oci/id_mappings.ts";
import { HOSTS, RESOLV_CONF } from "../oci/names.ts";
import { isReadOnlyMount } from "../oci/read_only.ts";
import { diskMounts, isBind, volumeMounts } from "../oci/unsupported.ts";
import type { IdMaps, Mount, Spec } from "../oci/types.ts";
import { requireNoAgent } from "../oci/validate.ts";
import { resolvePath } from "../os/path.ts";
import { mayHaveAgent } from "../plan/agent.ts";
import { acceleratorOf } from "../plan/launch_input.ts";
import { serverGroups } from "../plan/file_server.ts";
import { planIds } from "../plan/host_ids.ts";
import {
  planUsers,
  requireAllowedDevice,
  requireAllowedFileServer,
  requireAllowedKey,
  requireAllowedMonitor,
  requireAllowedUser,
  type Users,
} from "../plan/policy.ts";
import { ROOT_DISK } from "../plan/root.ts";
import { mountPointOf } from "../guest/disks.ts";
import { guestOf } from "../guest/families/registry.ts";
import type { Guest } from "../guest/families/types.ts";
import { keyPrefix } from "../guest/keys.ts";
import { parseUnikernel } from "../guest/parse.ts";
import type { UnikernelConfig } from "../guest/types.ts";

/** A bundle, read once and understood; nothing reads the raw files again. */
export interface Bundle {
  /** Absolute. */
  path: string;
  spec: Spec;
  /** Absolute path of the image's root. */
  rootfs: string;
  /** Whether the root is not to be written to, where its mount does not say it: undefined, it does. */
  rootReadOnly?: boolean;
  /** Who mounted the root can mount it with its owners mapped: an overlay, which cannot be mapped itself. */
  mapsRoot?: true;
}

/** Everything that planning needs, gathered without changing anything. */
export interface Prepared {
  configuration: Configuration;
  unikernel: UnikernelConfig;
  guest: Guest;
  monitor: Monitor;
  facts: HostFacts;
}

/**
 * Reads a bundle's config.json.
 *
 * @param path the bundle; relative paths are meant from the working directory
 * @throws InvalidConfigurationError naming the JSON path; NotFound errors say which file is missing
 */
export function readBundle(path: string): Bundle {
  const bundle = resolvePath(Deno.cwd(), path);
  const configPath = resolvePath(bundle, "config.json");
  const bytes = readBounded(configPath, maximumSpecBytes, {
    operation: "read bundle",
    remedy: "--bundle names the directory that holds config.json and the root file system",
  });
  const decoded = decodeSpec(bytes);
  const spec = { ...decoded, mounts: decoded.mounts.map((it) => sourceFrom(bundle, it)) };
  return { path: bundle, spec, rootfs: resolvePath(bundle, spec.root.path) };
}

/** A relative source of a bind mount is meant from the bundle (runtime-spec, config.md, "Mounts"). */
function sourceFrom(bundle: string, mount: Mount): Mount {
  const { source } = mount;
  if (!isBind(mount) || !source || source.startsWith("/")) return mount;
  return { ...mount, source: resolvePath(bundle, source) };
}

/**
 * Finds out what the bundle's guest is and what the host has for it.
 *
 * @throws InvalidConfigurationError for the image's description, HostError for what is missing here
 */
export function prepare(bundle: Bundle, configuration: Configuration): Prepared {
  const { "guests.linux": linux } = configuration;
  const imageRoot = openImageRoot(bundle.rootfs);
  try {
    const json = readUruncJson(imageRoot);
    const unikernel = parseUnikernel({
      annotations: bundle.spec.annotations,
      uruncJson: json === undefined ? undefined : decodeText(json),
      monitors: supportedMonitors,
      defaultKernel: linux.kernel,
      requireAllowed: (key) => requireAllowedKey(key, configuration),
    });
    const monitor = monitorByName(unikernel.hypervisor);
    const accelerator = acceleratorOf({ unikernel, configuration });
    requireAllowedMonitor(monitor, accelerator, configuration);
    requireAllowedUser(planUsers(bundle.spec, configuration), configuration);
    const guest = guestOf(unikernel.unikernelType);
    const facts = gatherHostFacts({
      monitor,
      configuration: configuration.monitors[monitor.name],
      needsBios: guest.needsBios,
      imageRoot,
      kernel: unikernel.binary ?? new KernelStore(linux.kernels).open(unikernel.kernel!),
      initrd: unikernel.initrd,
      accelerator,
      groupNames: configuration.device_access === "groups",
    });
    facts.disks = disksOf(bundle, { unikernel, guest, configuration }, imageRoot);
    const isMapped = hasUserNamespace(bundle.spec.linux) || linux.file_access === "userns";
    addRoot(facts, bundle, { unikernel, guest, monitor, isMapped });
    if (facts.groupNames !== undefined) {
      const nodes = facts.disks.flatMap(({ source }) => "device" in source ? [source.device] : []);
      Object.assign(facts.groupNames, groupNamesOf(nodes));
    }
    if (guest.takesNameservers) {
      facts.resolvConf = readResolvConf(
        bundle.spec.mounts,
        imageRoot,
        userOf(bundle, configuration),
      );
    }
    if (mayHaveAgent({ unikernel, guest, monitor })) {
      facts.hosts = readHosts(bundle.spec.mounts, userOf(bundle, configuration));
      const sysctls = readPodSysctls(bundle.path, bundle.spec.annotations);
      if (Object.keys(sysctls).length > 0) facts.podSysctls = sysctls;
      const users = planUsers(bundle.spec, configuration);
      // In a user namespace no file of the guest's is closed to its root.
      addSharedMounts(facts, bundle, monitor, { ...users, isMapped });
      if (facts.sharedRoot ?? facts.sharedMounts) {
        const maps = planIds({ ...bundle, configuration, facts }).files;
        if (maps !== undefined) requireRoot(maps);
        requireAllowedFileServer(users, maps, configuration);
        facts.fileServer = { ...findFileServer(), openFiles: mostOpenFiles() };
      }
    } else {
      requireNoAgent(bundle.spec);
    }
    return { configuration, unikernel, guest, monitor, facts };
  } finally {
    close(imageRoot);
  }
}

/**
 * Reads the container's name servers and host names again: where a hook attaches the network, the engine
 * writes them only then.
 *
 * @throws HostError when they cannot be read
 */
export function refreshNames({ facts, configuration }: Prepared, bundle: Bundle): void {
  const { mounts } = bundle.spec;
  const user = userOf(bundle, configuration);
  const isMounted = mounts.some(({ destination }) => destination === RESOLV_CONF);
  // The image has been closed, and its file is the same.
  if (facts.resolvConf !== undefined && isMounted) {
    facts.resolvConf = readResolvConf(mounts, undefined, user);
  }
  if (facts.hosts !== undefined) facts.hosts = readHosts(mounts, user);
}

/** Whom what the container names must be open to. */
function userOf({ spec }: Bundle, configuration: Configuration): Credentials {
  const { uid, gid, additionalGids } = planUsers(spec, configuration).files;
  return { uid, gid, groups: additionalGids };
}

/** In the order in which the guest counts them. */
function disksOf(
  { spec }: Bundle,
  { unikernel, guest, configuration }: Pick<Prepared, "unikernel" | "guest" | "configuration">,
  imageRoot: number,
): DiskFacts[] {
  const disks: DiskFacts[] = [];
  if (unikernel.block !== undefined) {
    disks.push(blockImage({
      imageRoot,
      path: unikernel.block,
      readOnlyRoot: spec.root.readonly,
      mountPoint: mountPointOf(unikernel, guest),
    }));
  }
  const taken = () => [ROOT_DISK, ...disks.map(({ name }) => name)];
  const allow = (subject: string) => requireAllowedDevice(subject, configuration);
  disks.push(...volumeDisks(diskMounts(spec), taken(), allow));
  disks.push(...deviceDisks(diskDevices(spec), taken(), allow));
  return disks;
}

/** Of an image that brings neither kernel nor initial RAM disk. */
const WITHOUT_INITRD = {
  subject: "the container's root",
  otherwise: `name an initial RAM disk of the image by ${keyPrefix}initrd`,
};

/** Makes the container's root the guest's, as a disk or shared, where it is to be that. */
function addRoot(
  facts: HostFacts,
  bundle: Bundle,
  { unikernel, guest, monitor, isMapped }: Pick<Prepared, "unikernel" | "guest" | "monitor"> & {
    /** Whether owners of files that are shared are mapped. */
    isMapped: boolean;
  },
): void {
  const isShareable = unikernel.sharesRoot !== undefined && monitor.sharesFiles === true;
  if (unikernel.rootDisk || isShareable) requireNotHosts(bundle.rootfs);
  try {
    if (unikernel.rootDisk) return addRootDisk(facts, bundle, unikernel, guest);
  } catch (error) {
    // It is on no block device of its own, or on one that guests cannot mount.
    if (!isShareable || !(error instanceof UnsupportedError)) throw error;
  }
  if (!isShareable) return;
  facts.sharedRoot = {
    readOnly: bundle.rootReadOnly ?? false,
    ...(isMapped && isMappedByMount(bundle) ? { isMapped: true } : {}),
  };
}

/**
 * Whether the root's mount has its owners mapped from the beginning. In a user namespace of config.json the
 * engine sees to that. Else an overlay's must be: its layers can be mapped, the overlay cannot (EINVAL;
 * fs/overlayfs/super.c has no FS_ALLOW_IDMAP).
 *
 * @throws UnsupportedError where somebody has mounted it who does not map it: two overlays on one upper
 *   directory are undefined (the kernel's overlayfs.rst, "Sharing and copying layers")
 */
function isMappedByMount({ spec, rootfs, mapsRoot }: Bundle): boolean {
  if (hasUserNamespace(spec.linux)) return true;
  if (fileSystemOf(rootfs) !== "overlay") return false;
  if (mapsRoot) return true;
  throw new UnsupportedError({
    operation: "share files with the guest",
    subject: "the container's root",
    reason:
      'guests.linux.file_access is "userns" in the configuration, and the owners of an overlay ' +
      "that the container's engine has mounted cannot be mapped",
    remedy: "containerd's shim mounts overlays that are mapped; " +
      'file_access = "user" serves any root as one user',
  });
}

/** @throws UnsupportedError when config.json's user namespace has no root */
function requireRoot(maps: IdMaps): void {
  if (rootOnHost(maps) !== undefined) return;
  throw new UnsupportedError({
    operation: "share files with the guest",
    subject: "config.json linux.uidMappings, linux.gidMappings",
    reason: "the container's user namespace has no uid or no gid 0, as which files are served",
    remedy: "map 0, too",
  });
}

/** By whatever path it is named, a bind mount included. @throws UnsupportedError when it is the host's root */
function requireNotHosts(rootfs: string): void {
  if (!isSameIdentity(readFileIdentity(rootfs), readFileIdentity("/"))) return;
  throw new UnsupportedError({
    operation: "give the guest",
    subject: "the container's root",
    reason: `${rootfs} is the host's own`,
    remedy: "name another root in config.json",
  });
}

/** @throws UnsupportedError naming a volume that the guest could not see */
function addSharedMounts(
  facts: HostFacts,
  { spec }: Bundle,
  monitor: Monitor,
  { guest, files, isMapped }: Pick<Users, "guest" | "files"> & { isMapped: boolean },
): void {
  if (monitor.sharesFiles !== true) {
    const asked = new Set(volumeMounts(spec, false).map(({ index }) => index));
    // Of what engines bind into every container it gets what is only read, as a token is; names by its agent.
    const volumes = volumeMounts(spec, true).filter(({ index, mount }) =>
      asked.has(index) ||
      isReadOnlyMount(mount.options) && ![HOSTS, RESOLV_CONF].includes(mount.destination)
    );
    const copied = copiedMountFacts(volumes, monitor.title);
    if (copied.length > 0) facts.copiedMounts = copied;
    return;
  }
  // What engines bind into every container needs no file server where nothing else does.
  const volumes = volumeMounts(spec, facts.sharedRoot !== undefined);
  // To another user they are as closed in any container.
  const server = { uid: files.uid, gid: files.gid, groups: serverGroups(files) };
  const mounts = sharedMountFacts(volumes, guest.uid === 0 && !isMapped ? server : undefined);
  if (mounts.length > 0) facts.sharedMounts = mounts;
}

/** Puts the root before all other disks. Nothing is unmounted yet. */
function addRootDisk(
  facts: HostFacts,
  { spec, rootfs, rootReadOnly }: Bundle,
  unikernel: UnikernelConfig,
  guest: Guest,
): void {
  const mountPoint = mountPointOf(unikernel, guest);
  const disk = findRootDisk({
    rootfs,
    readOnly: rootReadOnly,
    ...unikernel.kernel === undefined || unikernel.initrd !== undefined
      ? { subject: `${keyPrefix}mountRootfs`, otherwise: "leave the key out" }
      : WITHOUT_INITRD,
    guest: guest.type,
    // Who mounts nothing reads sectors, whatever is in them.
    fileSystems: mountPoint === undefined ? undefined : guest.disks?.fileSystems,
  });
  const { device } = disk;
  const node = hostNode(device);
  facts.rootDisk = { mountPoint: disk.mountPoint, major: device.major, minor: device.minor };
  facts.disks = [{
    name: ROOT_DISK,
    source: { kind: "device", device: node },
    readOnly: disk.readOnly || spec.root.readonly,
    fileSystem: disk.fileSystem,
    mountPoint,
  }, ...facts.disks ?? []];
}

function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new InvalidConfigurationError({
      operation: "read image",
      subject: "/urunc.json",
      reason: "it is not valid UTF-8",
      cause,
    });
  }
}
