import { arch } from "../arch/arch.ts";
import { UnsupportedError } from "../errors.ts";
import type { HostFacts } from "../inspect/types.ts";
import type { Monitor } from "../monitor/types.ts";
import { monitorsThat } from "../monitor/registry.ts";
import { COPIES, type GuestMount, SHARED, volumeDirectory } from "../guest/initrd/process.ts";
import { areSameMaps, hasUserNamespace, mapsOfMount } from "../oci/id_mappings.ts";
import { isReadOnlyMount } from "../oci/read_only.ts";
import type { IdMaps, Mount, Spec, User } from "../oci/types.ts";
import type { MountPoint, Step } from "./types.ts";

/**
 * What of the host's files a guest with an agent sees, by one file server. The tree that is shared, by
 * the tag `urunc`, has `root/`, the container's root, and `v/0` to `v/N`, its volumes; that of a single file is `v/N/file`.
 */
export interface SharedFiles {
  /** Whether the container's root is the guest's. */
  root?: { readOnly: boolean } & SharedOwners;
  /** In config.json's order; a volume's position is the number of its directory in `v/`. */
  volumes: SharedVolume[];
}

/** Of a tree, where the file server is root of a user namespace. */
interface SharedOwners {
  /** Its owners are ids of that already; else the file server has them mapped. */
  isMapped?: true;
  /** Whether what the host has mounted below it is mapped, too: it is, by default. */
  mapsBelow?: boolean;
}

/** A file or directory of the host that config.json binds into the container. */
export interface SharedVolume extends SharedOwners {
  /** Absolute path on the host. */
  source: string;
  /** Absolute path in the guest. */
  destination: string;
  isFile: boolean;
  readOnly: boolean;
  /** All of the mount's. */
  options: string[];
  /** Its place in config.json's `mounts`. */
  index: number;
  /** A path of it that root of the guest will not be able to read. */
  closed?: string;
}

/** By which the guest finds the tree. */
export const SHARE_TAG = "urunc";

/** The path of a volume in the tree that is shared. */
export function sharedPath(position: number, { isFile }: Pick<SharedVolume, "isFile">): string {
  const directory = volumeDirectory(position);
  return isFile ? `${directory}/file` : directory;
}

/** What the decision depends on. */
export interface SharedFilesInput {
  spec: Pick<Spec, "mounts" | "root" | "linux">;
  facts: Pick<HostFacts, "sharedRoot" | "sharedMounts" | "nodeKernel">;
  monitor: Pick<Monitor, "title" | "sharesFiles">;
}

/**
 * What a guest with an agent sees of the host's files.
 *
 * @returns undefined: nothing
 * @throws UnsupportedError when the monitor cannot share anything with a guest, the kernel of the node has no
 *   driver for it, or a volume has an option that is not applied
 */
export function planSharedFiles(input: SharedFilesInput): SharedFiles | undefined {
  const { spec, facts } = input;
  const { sharedRoot, sharedMounts = [] } = facts;
  if (sharedRoot === undefined && sharedMounts.length === 0) return undefined;
  requireSharing(input);
  return {
    ...(sharedRoot === undefined
      ? {}
      : { root: { ...sharedRoot, readOnly: sharedRoot.readOnly || spec.root.readonly } }),
    volumes: sharedMounts.map((facts) => ({
      ...volumeOf(spec, facts, spec.linux),
      ...(hasUserNamespace(spec.linux) ? ownersOf(spec.mounts[facts.index]!) : {}),
    })),
  };
}

/** A volume that a guest gets a copy of, in an archive of so many bytes. */
export interface CopiedVolume extends SharedVolume {
  bytes: number;
}

/**
 * What a guest with an agent gets copies of, where its monitor cannot share files.
 *
 * @throws UnsupportedError when a volume has an option that is not applied
 */
export function planCopiedVolumes(
  { spec, facts }: {
    spec: Pick<Spec, "mounts">;
    facts: Pick<HostFacts, "copiedMounts">;
  },
): CopiedVolume[] {
  return (facts.copiedMounts ?? []).map((it) => volumeOf(spec, it));
}

/** @param linux of the container, where its mappings can be a volume's, too */
function volumeOf<Facts extends Pick<SharedVolume, "index" | "isFile">>(
  { mounts }: Pick<Spec, "mounts">,
  facts: Facts,
  linux?: Spec["linux"],
): Facts & SharedVolume {
  const mount = mounts[facts.index]!;
  requireKnownOptions(mount, facts.index, linux);
  const { source, destination, options } = mount;
  return {
    ...facts,
    source: source!,
    destination,
    readOnly: isReadOnlyMount(options),
    options,
  };
}

/** What a guest does not get of what it has copies of. */
export function copiedVolumesWarnings(volumes: readonly CopiedVolume[]): string[] {
  return volumes.map(({ index, source }) =>
    `config.json mounts[${index}] ${source}: it is copied when the guest starts: what changes later is not seen there`
  );
}

function requireSharing({ spec, facts, monitor }: SharedFilesInput): void {
  const { sharedRoot, sharedMounts, nodeKernel } = facts;
  const [first] = sharedMounts ?? [];
  const subject = sharedRoot !== undefined || first === undefined
    ? "the container's root"
    : `mounts[${first.index}] ${spec.mounts[first.index]!.source}`;
  const refuse = (reason: string, remedy: string) =>
    new UnsupportedError({ operation: "share files with the guest", subject, reason, remedy });
  if (monitor.sharesFiles !== true) {
    throw refuse(
      `${monitor.title} has no device for that`,
      `leave it out, or use ${monitorsThat(({ sharesFiles }) => sharesFiles === true)}`,
    );
  }
  if (nodeKernel?.lacksFiles !== true) return;
  throw refuse(
    `the node's kernel ${nodeKernel.name} has no driver virtiofs`,
    `urunc kernel add stores another (Debian: linux-image-cloud-${arch.imageName} has it)`,
  );
}

/** What would be missing silently, and lets the guest do more, or is an owner on the disk. */
function requireKnownOptions(mount: Mount, index: number, linux?: Spec["linux"]): void {
  const { source, options } = mount;
  const refuse = (option: string, remedy: string) =>
    new UnsupportedError({
      operation: "share files with the guest",
      subject: `mounts[${index}] ${source}`,
      reason: `the option ${option} is not applied to what is shared`,
      remedy,
    });
  const option = options.find((it) => NOT_APPLIED.test(it));
  if (option !== undefined) throw refuse(option, "leave it out, or give the guest a disk image");
  if (!asksForMaps(mount) || linux !== undefined && hasContainersMaps(mount, linux)) return;
  const mapping = options.find((it) => IDMAP.test(it)) ?? "idmap";
  throw refuse(
    mapping,
    linux === undefined || !hasUserNamespace(linux)
      ? "leave it out, or give the guest a disk image"
      : "leave it out, or give it the mappings of the container's user namespace",
  );
}

/** config.md, "Linux mount options". */
const NOT_APPLIED = /^r?nosymfollow$/;
const IDMAP = /^r?idmap$/;

/** In a user namespace of config.json: "idmap" is of the mount itself, "ridmap" of those below it, too. */
function ownersOf(mount: Mount): SharedOwners {
  if (!asksForMaps(mount)) return { isMapped: true };
  return { mapsBelow: mount.options.includes("ridmap") };
}

function asksForMaps({ maps, options }: Mount): boolean {
  return maps !== undefined || options.some((it) => IDMAP.test(it));
}

/** Those of the user namespace that its file server is root of, and no others. */
function hasContainersMaps(mount: Mount, linux: Spec["linux"]): boolean {
  const maps = mapsOfMount(mount, linux);
  return hasUserNamespace(linux) && maps !== undefined &&
    areSameMaps(maps, { uids: linux.uidMappings, gids: linux.gidMappings });
}

/** What `slave` and `shared` ask for: nothing is mounted in a guest later (config.md, "Linux mount options"). */
const PROPAGATED = /^r?(slave|shared)$/;

/**
 * What a guest does not get of what is shared with it, a sentence each.
 *
 * @param server the file server's user
 */
export function sharedFilesWarnings(
  shared: SharedFiles | undefined,
  server: Pick<User, "uid" | "gid">,
): string[] {
  return (shared?.volumes ?? []).flatMap(({ index, source, options, closed }) => [
    ...options.some((it) => PROPAGATED.test(it))
      ? [
        `config.json mounts[${index}] ${source}: what the host mounts below it later is not seen in the guest`,
      ]
      : [],
    ...closed === undefined ? [] : [
      `config.json mounts[${index}] ${closed}: root of the guest cannot read it, for on the host its files ` +
      `are served by uid ${server.uid}, gid ${server.gid}, without capabilities: give the container the ` +
      "user that may (Kubernetes: securityContext.runAsUser and fsGroup)",
    ],
  ]);
}

/** What a kernel has there is the guest's own. */
const KERNELS = ["/proc", "/sys", "/dev"];

/** A tmpfs has the mode of its place; runc gives it the kernel's own where there was none. */
const MEMORY = new Set(["tmpfs", COPIES]);
const NEW_TMPFS = 0o1777;

/** What the agent mounts, as far as that needs a place in a shared tree. */
export interface MountPointsInput {
  shared: SharedFiles;
  /** Path of the container's root on the host. */
  rootfs: string;
  /** Of the agent, in the order in which they are made. */
  mounts: readonly GuestMount[];
  /** Files that the agent puts over those of the root. */
  files: readonly string[];
  cwd: string;
  /** The ids that owners are mapped to, if they are. */
  maps?: IdMaps;
}

/**
 * Steps that make the mount points that are missing in the trees which a guest shares. What may only be
 * read is left as it is, and where a place is in the guest's memory the agent makes it.
 */
export function planMountPoints(input: MountPointsInput): Step[] {
  const { shared, rootfs, mounts, files, cwd, maps } = input;
  const targets = new Map<string, { its: MountPoint[] } & SharedOwners>();
  const places = mounts.map((it): MountPoint => ({
    path: it.target,
    isFile: isSharedFile(it),
    ...(MEMORY.has(it.type) ? { mode: NEW_TMPFS } : {}),
  }));
  const others = files.map((path) => ({ path, isFile: true }));
  const all: MountPoint[] = [
    ...KERNELS.map((path) => ({ path, isFile: false })),
    ...places,
    ...others,
    { path: cwd, isFile: false },
  ];
  for (const { path, ...kind } of all) {
    const above = mounts.findLast(({ target }) => path !== target && isBelow(path, target));
    if (KERNELS.some((it) => isBelow(path, it) && path !== it)) continue;
    const tree = above === undefined ? rootTree(shared, rootfs) : volumeTree(shared, above);
    if (tree === undefined) continue;
    const inside = above === undefined ? path : path.slice(above.target.length) || "/";
    const { its = [] } = targets.get(tree.source) ?? {};
    targets.set(tree.source, {
      isMapped: tree.isMapped,
      its: [...its, { path: inside, ...kind }],
    });
  }
  return [...targets].map(([tree, { its, isMapped }]): Step => ({
    step: "makeMountPoints",
    tree,
    targets: its,
    ...(isMapped ? { maps } : {}),
    // It could not be written to all the same: then the agent says what is missing.
    tolerate: ["EROFS"],
  }));
}

/** Where mount points are made. */
type SharedTree = Pick<SharedVolume, "source" | "isMapped">;

function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);
}

function isSharedFile({ type, options }: GuestMount): boolean {
  return type === SHARED && options.endsWith("/file");
}

function rootTree({ root }: SharedFiles, rootfs: string): SharedTree | undefined {
  return root && { source: rootfs, isMapped: root.isMapped };
}

/** Of the mount in which a place is; undefined: it is in memory, or may only be read. */
function volumeTree(
  { volumes }: SharedFiles,
  { target, type }: GuestMount,
): SharedTree | undefined {
  if (type !== SHARED) return undefined;
  const volume = volumes.findLast(({ destination }) => destination === target);
  return volume === undefined || volume.readOnly ? undefined : volume;
}
