import type { FileServerFacts } from "../inspect/types.ts";
import { capabilityNumber } from "../config/capabilities.ts";
import { type ExpectedIdentity, GIVES_UP } from "../host/identity.ts";
import { volumeDirectory } from "../guest/initrd/process.ts";
import { FILE_SERVER_NAMESPACES } from "../host/namespaces.ts";
import { rootOnHost } from "../oci/id_mappings.ts";
import type { IdMaps, User } from "../oci/types.ts";
import { groupsOf } from "./credentials.ts";
import { Tree } from "./root.ts";
import { FILE_SERVER_FILTER } from "./seccomp.ts";
import { type SharedFiles, sharedPath, type SharedVolume } from "./shared_files.ts";
import type { Step } from "./types.ts";

/** Its argument 0, by which the waiter's program knows what it is until it executes the server. */
const FILE_SERVER = "urunc-files";

/** What is shared, in the server's root. */
const SHARED = "/shared";

/** Directories and mount points. Bytes. */
const ROOT_BYTES = 1024 * 1024;

/** The same number for all ids that there are: those of 32 bits but -1, which is none. */
const ALL_IDS = 2 ** 32 - 1;

/**
 * Processes and threads: its own, that of the connection, and that of the guest's requests. Seen with
 * virtiofsd 1.13, whose pool of further ones is empty by default (virtiofsd --help, --thread-pool-size).
 */
export const FILE_SERVER_THREADS = 3;

/** What virtiofsd takes of its own as uid 0 (virtiofsd --help, --modcaps). */
const TAKEN = [
  ...["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_SETGID", "CAP_SETUID"],
  ...["CAP_MKNOD", "CAP_SETFCAP"],
];

/** Numbers of its descriptors. */
const SOCKET_FD = 3;
const FILTER_FD = 4;
const NAMESPACE_FD = 5;

/** Name of the descriptor of its user namespace. */
const FILES_NAMESPACE = "filesNamespace";

/** Who it is in its user namespace. */
const ROOT: User = { uid: 0, gid: 0, additionalGids: [] };

/**
 * What root in a user namespace is root over its files with, and acts as their users with. It makes no
 * device nodes and no capabilities of files.
 */
const OVER_FILES = TAKEN.slice(0, -2);

/** Input for planning the file server. */
export interface FileServerInput {
  shared: SharedFiles;
  server: FileServerFacts;
  /**
   * Who it, and so whatever the guest does to files, is on the host: the container's user, also where the
   * monitor is one of its own (`ids.mode`), to whom nothing that the container names belongs.
   */
  user: User;
  /** In place of that: it is root in a user namespace with these ids, among them 0, and so are files' owners. */
  maps?: IdMaps;
  /** The container's root, on the host. */
  rootfs: string;
  /** Where its root is mounted, in its own mount namespace only. */
  mountPoint: string;
  newKeyring: boolean;
  filtered: boolean;
}

/**
 * Steps that start the file server of a guest that sees files of the host. They come before those for the
 * monitor's root, with all privileges and the host's tree still there. The order matters:
 *
 * 1. its user namespace is made where the maker's pid is known in /proc; the container's namespaces are held
 *    before others are made, for they cannot be named from the server's root;
 * 2. in its mount namespace a root is made: its program and libraries, and what is shared, each mount with
 *    its flags before it can be reached. Nothing is ever mounted inside what is shared (CVE-2021-30465,
 *    CVE-2024-45310): the guest puts volumes into their places;
 * 3. the pivot, after which no path leads to the host, neither for the server nor for what starts it;
 * 4. what is shared is private before it is reached, or what the host mounts later below a volume would appear
 *    with flags of its own; all other mounts are made so after the pivot;
 * 5. the connection, while its name can still be made in the root; then the root can only be read;
 * 6. no keys and no descriptors of the caller's: it inherits what is not marked by now (CVE-2024-21626);
 * 7. the server's process, as root until it has mounted its procfs; init goes on when it has given that up;
 * 8. init returns.
 */
export function planFileServer(input: FileServerInput): Step[] {
  const { server, newKeyring } = input;
  const namespaces = [...FILE_SERVER_NAMESPACES];
  const tree = new Tree();
  tree.bind(server.binary, "file");
  tree.bindLibraries(server.libraries);
  return [
    ...namespaceSteps(input.maps),
    { step: "holdNamespaces", namespaces },
    { step: "enterMonitorNamespaces", namespaces },
    // The caller's would remove permissions: only root could enter the directories.
    { step: "umask", mask: 0 },
    { step: "mountRoot", path: input.mountPoint, sizeBytes: ROOT_BYTES },
    ...tree.steps,
    { step: "mkdir", path: "/proc", mode: 0o755 },
    { step: "mkdir", path: SHARED, mode: 0o755 },
    ...sharedSteps(input),
    { step: "pivotRoot" },
    { step: "privateMounts" },
    { step: "connectFileServer" },
    { step: "remountReadOnly", path: "/" },
    ...keyringSteps(newKeyring),
    { step: "closeFds" },
    {
      step: "startFileServer",
      argv: argumentsOf(input),
      fds: [
        { name: "fileServer", fd: SOCKET_FD },
        ...(input.filtered ? [{ name: FILE_SERVER_FILTER, fd: FILTER_FD }] : []),
        ...(input.maps ? [{ name: FILES_NAMESPACE, fd: NAMESPACE_FD }] : []),
      ],
    },
    { step: "leaveMonitorNamespaces" },
  ];
}

/**
 * What is proven of it: it has no capability over the host, also where the operator lets the monitor keep some.
 * In a user namespace of its own it has those over files. As uid 0 it sets its capabilities by itself, to none or
 * to these, and does not start unless it may: it waits with the one for that.
 */
export function fileServerIdentity(
  { user, maps, filtered, seccompFilters = 0 }:
    & Pick<FileServerInput, "user" | "maps" | "filtered">
    & {
      /** Those that the creator is in, and so all that it starts; 0 when not given. */
      seccompFilters?: number;
    },
): ExpectedIdentity {
  return {
    ...(maps === undefined
      ? { uid: user.uid, gid: user.gid, groups: serverGroups(user) }
      : { ...rootOnHost(maps)!, groups: [] }),
    capabilities: capabilitiesOf({ user, maps }),
    noNewPrivileges: true,
    ...(filtered ? { seccompFilters: seccompFilters + 1 } : {}),
  };
}

/**
 * None as uid 0: virtiofsd wants to drop root's supplementary groups itself, and exits when it lacks the
 * capability for it (seen with 1.13). docker and the CRI give every user its own group as a supplementary one.
 */
export function serverGroups(user: User): number[] {
  return user.uid === 0 ? [] : groupsOf(user);
}

/** Until it has started; the one of uid 0 that it then gives up is for giving up. */
function capabilitiesOf({ user, maps }: Pick<FileServerInput, "user" | "maps">): string[] {
  if (maps !== undefined) return [...OVER_FILES, GIVES_UP];
  return user.uid === 0 ? [GIVES_UP] : [];
}

/** What virtiofsd is not to take, in its own words. */
function refused(taken: readonly string[]): string {
  return TAKEN.filter((name) => !taken.includes(name))
    .map((name) => `-${name.slice("CAP_".length).toLowerCase()}`).join(":");
}

/** Its process changes its groups to those of a guest's process, for what that makes. */
function namespaceSteps(maps: IdMaps | undefined): Step[] {
  if (maps === undefined) return [];
  const { uids, gids } = maps;
  return [{
    step: "makeUserNamespace",
    name: FILES_NAMESPACE,
    uidMappings: uids,
    gidMappings: gids,
    setsGroups: true,
  }];
}

/** ENOSYS: the kernel has no keyrings, so none can leak. */
function keyringSteps(isNew: boolean): Step[] {
  return isNew ? [{ step: "newSessionKeyring", tolerate: ["ENOSYS"] }] : [];
}

function sharedSteps({ shared, rootfs, maps }: FileServerInput): Step[] {
  const { root, volumes } = shared;
  const mapped = maps === undefined ? {} : { userNamespace: FILES_NAMESPACE };
  return [
    ...(root === undefined ? [] : [
      {
        step: "bindShared",
        source: rootfs,
        target: `${SHARED}/root`,
        kind: "directory",
        readOnly: root.readOnly,
        // What the engine mounted below it is a volume, which the guest has in its place.
        recursive: false,
        ...(root.isMapped ? {} : mapped),
      } as const,
    ]),
    ...(volumes.length === 0 ? [] : [{ step: "mkdir", path: `${SHARED}/v`, mode: 0o755 } as const]),
    ...volumes.flatMap((volume, position) => volumeSteps(volume, position, mapped)),
  ];
}

function volumeSteps(
  volume: SharedVolume,
  position: number,
  mapped: { userNamespace?: string },
): Step[] {
  const { source, isFile, readOnly, options, isMapped, mapsBelow = true } = volume;
  const recursive = options.includes("rbind");
  const bound: Step = {
    step: "bindShared",
    source,
    target: `${SHARED}/${sharedPath(position, volume)}`,
    kind: isFile ? "file" : "directory",
    readOnly,
    recursive,
    ...(isMapped || mapped.userNamespace === undefined
      ? {}
      : { ...mapped, mapsBelow: recursive && mapsBelow }),
  };
  return isFile
    ? [{ step: "mkdir", path: `${SHARED}/${volumeDirectory(position)}`, mode: 0o755 }, bound]
    : [bound];
}

/** Of its process until it executes the server, and of the server: lib/build/waiter/waiter.c, virtiofsd --help. */
function argumentsOf({ server, user, maps, filtered }: FileServerInput): string[] {
  const own = maps === undefined ? user : ROOT;
  const { uid, gid } = own;
  return [
    FILE_SERVER,
    `uid=${uid}`,
    `gid=${gid}`,
    ...serverGroups(own).map((group) => `group=${group}`),
    `files=${server.openFiles}`,
    ...(filtered ? [`filter=${FILTER_FD}`] : []),
    ...(maps === undefined ? [] : [`user=${NAMESPACE_FD}`]),
    ...capabilitiesOf({ user, maps }).map((name) => `capability=${capabilityNumber(name)}`),
    "--",
    server.binary,
    `--fd=${SOCKET_FD}`,
    `--shared-dir=${SHARED}`,
    // It is where its own sandbox would bring it, and has not the capabilities to make one.
    "--sandbox=none",
    "--seccomp=kill",
    // Opening a file by a handle takes a capability, and passes over directories' permissions.
    "--inode-file-handles=never",
    // Without them two files of the same number in two volumes would be one.
    "--announce-submounts",
    "--rlimit-nofile=0",
    // Those that take no capability: user.*, and to read any.
    "--xattr",
    // Or the guest's kernel would ask for the latter before each write (fs/fuse/inode.c, SB_NOSEC).
    "--killpriv-v2",
    ...(maps === undefined
      // Whatever id of the guest makes a file or is given one: it is this user's.
      ? [
        `--translate-uid=squash-guest:0:${uid}:${ALL_IDS}`,
        `--translate-gid=squash-guest:0:${gid}:${ALL_IDS}`,
      ]
      : []),
    ...(uid === 0 ? [`--modcaps=${refused(maps === undefined ? [] : OVER_FILES)}`] : []),
    "--log-level=error",
  ];
}
