import type { AllowedDevice } from "../cgroups/device_program.ts";
import type { Credentials } from "../host/access.ts";
import type { MonitorNamespace } from "../host/namespaces.ts";
import type { Hook, IdMapping, IdMaps, NamespaceType } from "../oci/types.ts";
import type { TapOwner } from "../network/owner.ts";
import type { GuestProcess } from "../guest/initrd/segment.ts";
import type { CallFilter } from "../seccomp/types.ts";

/** Version of the plan format; incremented by every change that an older init would misread. */
export const PLAN_VERSION = 9;

/** How many ports for further processes a guest has. */
export interface ExecPortCounts {
  /** From its start. Their numbers are the first. */
  first: number;
  /** At most. A guest keeps what it was given. */
  most: number;
}

/**
 * A launch plan: everything is decided here, nothing while it is performed. Plans are plain JSON,
 * so that they can be printed, compared and sent to the init process.
 *
 * Two plans per container. The first makes the namespaces; the creator then runs the prestart and
 * createRuntime hooks, which may attach the network (docker does), and the network is read; the
 * second plan contains the rest.
 */
export interface LaunchPlan {
  /** An init of another version rejects it. */
  version: typeof PLAN_VERSION;
  phase: "namespaces" | "launch";
  steps: Step[];
}

/** Namespaces that init's main thread can enter itself; the creator handles pid. */
export type InitNamespace = Exclude<NamespaceType, "pid" | "user" | "time">;

/** A step, and the errnos that are ignored (the code that plans the step says why). */
export type Step = StepBody & { tolerate?: string[] };

export type StepBody =
  /** Closes /proc/PID and ptrace(2) to processes without CAP_SYS_PTRACE. */
  | { step: "undumpable" }
  | { step: "setsid" }
  | { step: "oomScoreAdj"; value: number }
  | { step: "setns"; type: Exclude<InitNamespace, "mount">; path: string }
  | { step: "unshare"; namespaces: InitNamespace[] }
  | { step: "privatePropagation" }
  | { step: "hostname"; name: string }
  | { step: "domainname"; name: string }
  | { step: "sysctl"; key: string; value: string }
  /** Hooks that run in the container's namespaces, before the pivot, with paths of the host. */
  | { step: "runHooks"; name: "createContainer" | "startContainer"; hooks: Hook[] }
  /** Removes a tap of this name that an earlier, killed container left behind. */
  | { step: "removeStaleTap"; name: string; owner?: TapOwner }
  /** Undoes what such a container did to the packets that come in by an interface. */
  | { step: "removeIngress"; from: string }
  | { step: "createTap"; name: string; uid: number; gid: number; mtu: number; cgroup?: string }
  /** tc ingress on `from` sends every packet out of `to`. */
  | { step: "redirect"; from: string; to: string }
  /** As `redirect`, except for packets that sockets of the namespace would receive. */
  | { step: "share"; from: string; to: string }
  /** Passes on only what a guest with this MAC and these addresses may send. */
  | { step: "filter"; from: string; to?: string; mac: string; addresses: string[] }
  | { step: "linkUp"; name: string }
  | { step: "giveAddress"; name: string; address: string; prefixLength: number }
  /** Forwards IPv4 packets that come in by an interface. */
  | { step: "forward"; name: string }
  /** Packets from a subnet that leave by an interface get that interface's address. */
  | { step: "masquerade"; address: string; prefixLength: number; to: string }
  /** Opens the image's root, relative to which every image file is opened later. */
  | { step: "openImageRoot"; path: string }
  /** A fresh tmpfs that becomes the monitor's root. Later targets are relative to it. */
  | { step: "mountRoot"; path: string; sizeBytes: number }
  | { step: "mkdir"; path: string; mode: number }
  /** With `uid` and `gid` its directory is theirs. */
  | {
    step: "mountTmpfs";
    path: string;
    sizeBytes: number;
    mode: number;
    devices: boolean;
    uid?: number;
    gid?: number;
    /** How many files and directories there may be, the one at its root included. */
    files?: number;
  }
  /** Binds a file or directory that the operator or the system has, read-only, nosuid, nodev. */
  | { step: "bindHost"; source: string; target: string; kind: "directory" | "file" }
  /** Binds regular files of the host at their own paths, as `bindHost`; their directories are there. */
  | { step: "bindLibraries"; files: string[] }
  /**
   * Binds a file of the image, opened inside the image, nosuid, nodev, noexec; read-only unless it is
   * `writable`.
   */
  | { step: "bindImageFile"; source: string; target: string; writable?: true }
  /**
   * Opens a regular file of the image, that the monitor inherits. While an `exclusive` one is open, no
   * other guest can use it, nor QEMU outside of containers.
   */
  | { step: "openFile"; name: string; path: string; access: "r" | "rw"; exclusive?: true }
  /** As `openFile`, a file of the host that the container names: its user must be able to open it. */
  | {
    step: "openVolume";
    name: string;
    path: string;
    access: "r" | "rw";
    exclusive?: true;
    user: Credentials;
  }
  /** Binds what `openVolume` has opened, nosuid, nodev, noexec; read-only unless it is `writable`. */
  | { step: "bindVolume"; name: string; target: string; writable?: true }
  /**
   * Copies a file of the image that the monitor's user could not read, or that an archive for the
   * guest's kernel is prepended to (`guest/initrd/segment.ts`).
   */
  | {
    step: "copyImageFile";
    source: string;
    target: string;
    uid: number;
    gid: number;
    /** Of the image's file. */
    maximumBytes: number;
    prepend?: GuestProcess;
  }
  /**
   * Makes an initial RAM disk of an archive of ours, one with the modules of a kernel of the node, and the
   * image's, those that there are.
   */
  | {
    step: "makeInitrd";
    target: string;
    uid: number;
    gid: number;
    prepend: GuestProcess;
    /** Of the host, root's. */
    modules?: { path: string; maximumBytes: number };
    image?: { path: string; maximumBytes: number };
  }
  /**
   * Makes those that are missing, with the directories above, in a tree of the host that a guest shares; whose
   * owners are mapped, as root of these mappings, with its rights.
   */
  | { step: "makeMountPoints"; tree: string; targets: MountPoint[]; maps?: IdMaps }
  /** Writes a file that only the monitor's user may read. */
  | { step: "writeFile"; path: string; uid: number; gid: number; content: string }
  /** A named pipe for the monitor's log, whose other end is the container's process's: `watch`. */
  | { step: "openLog"; path: string; uid: number; gid: number }
  | {
    step: "mknod";
    path: string;
    type: "char" | "block";
    major: number;
    minor: number;
    uid: number;
    gid: number;
    mode: number;
  }
  /**
   * Opens the block device of the container's root, by a node that exists in the new root only
   * meanwhile. These four belong together: see launch/steps/root_disk.ts.
   */
  | { step: "openRootDisk"; major: number; minor: number }
  /** Closes the image's root, and unmounts it in the container's mount namespace. */
  | { step: "unmountRootfs"; mountPoint: string; major: number; minor: number }
  /** Asks the creator to unmount it in the creator's mount namespace, and waits. */
  | { step: "releaseRootfs" }
  /** Opens the device so that it cannot be mounted; fails with EBUSY when it is. */
  | { step: "claimRootDisk"; readOnly: boolean }
  /**
   * Opens a device that the monitor inherits, and then needs no node of. It comes before the device
   * rules, which need not allow it. While an `exclusive` block device is open, no other guest can use
   * it, and it cannot be mounted.
   */
  | {
    step: "openDevice";
    name: string;
    type: "char" | "block";
    major: number;
    minor: number;
    access: "r" | "rw";
    exclusive?: true;
  }
  /** Attaches a descriptor, which the monitor inherits, to a tap in the network namespace. */
  | { step: "attachTap"; name: string; tap: string }
  /** Binds a device node of the host, whose owner, mode and ACL decide. */
  | { step: "bindDevice"; source: string; target: string }
  /** Writes one rule to a file of the container's device cgroup (v1). */
  | { step: "deviceRule"; file: string; rule: string }
  /** Attaches a program to the container's cgroup that allows only these (v2). */
  | { step: "deviceProgram"; cgroup: string; allowed: AllowedDevice[] }
  /** A pseudo-terminal without a path, raw except for line ends of output; this user owns the slave. */
  | {
    step: "openTerminal";
    uid: number;
    gid: number;
    mode: number;
    size?: { rows: number; columns: number };
  }
  /** Sends the terminal's master, and closes it. */
  | { step: "sendTerminal"; to: TerminalReceiver }
  /** Makes the slave the controlling terminal and standard input, output and error. */
  | { step: "useTerminal" }
  /** Creates the socket on which the waiter waits for `start`; must precede the pivot. */
  | { step: "listenForStart"; path: string }
  /** Creates the socket for commands to the monitor; must precede the pivot, too. */
  | { step: "listenForControl"; path: string }
  /**
   * A directory with a socket for each of an agent's ports for further processes; `vsock`: with the one by
   * which they get connections. See plan/agent.ts.
   */
  | { step: "listenForExec"; directory: string; ports: ExecPortCounts | "vsock" }
  /** The AppArmor profile that the exec of the monitor enters; needs /proc, so before the pivot. */
  | { step: "apparmorProfile"; profile: string }
  | { step: "pivotRoot" }
  /** From then on mounts and unmounts of the host no longer reach the monitor's root. */
  | { step: "privateMounts" }
  /** With `noDevices`, device nodes there can no longer be opened. */
  | { step: "remountReadOnly"; path: string; noDevices?: true }
  | { step: "setRlimit"; type: string; soft: string; hard: string }
  /** May be passed on by an exec later, although the bounding set has them no more. */
  | { step: "inheritCapabilities"; capabilities: string[] }
  | { step: "dropBoundingSet"; keep: string[] }
  | { step: "keepCapabilities" }
  | { step: "setGroups"; gids: number[] }
  | { step: "setGid"; gid: number }
  | { step: "setUid"; uid: number }
  /**
   * `kept` are this process's alone: no program that it executes or starts has them. `passed`, which are
   * among them, such a program has, too.
   */
  | { step: "setCapabilities"; capabilities: string[]; kept?: string[]; passed?: string[] }
  | { step: "noNewPrivileges" }
  /**
   * Where the kernel has Landlock: no file can be opened but those of the root, no TCP port be bound or,
   * but for this one, connected to, no process but the monitor's and its waiter be signalled or traced.
   */
  | { step: "confineToRoot"; tcpPort?: number }
  | { step: "resetSignals" }
  | { step: "umask"; mask: number }
  | { step: "newSessionKeyring" }
  | { step: "closeFds" }
  /** Filters the calls of this thread, and of all that it executes. */
  | { step: "filterCalls"; filter: CallFilter }
  /** Makes the program of the container's process and of the monitor's, until its exec (lib/build/waiter). */
  | { step: "openWaiter" }
  /**
   * Makes a user namespace that nothing is in, and opens it, as `user` without a name; needs /proc, so before
   * the pivot. With `setsGroups` processes in it may change their groups.
   */
  | {
    step: "makeUserNamespace";
    name?: string;
    uidMappings: IdMapping[];
    gidMappings: IdMapping[];
    setsGroups?: true;
  }
  /** Opens one that is there. */
  | { step: "openUserNamespace"; path: string }
  /** Opens a file with a filter's program, that the process which installs it reads. */
  | { step: "openFilter"; name: string; filter: CallFilter }
  /** Opens the container's own, to return to; needs /proc, so before the pivot. */
  | { step: "holdNamespaces"; namespaces: MonitorNamespace[] }
  /** New namespaces, for what `startMonitor` starts. */
  | { step: "enterMonitorNamespaces"; namespaces: MonitorNamespace[] }
  /**
   * Starts the monitor's process, which waits for the container's: see launch/steps/monitor.ts. When it is
   * to enter a user namespace first, init waits until it has.
   */
  | { step: "startMonitor"; argv: string[]; fds: InheritedFd[]; entersUserNamespace?: true }
  /**
   * Binds a file or directory of the host, and with `recursive` what is mounted below it, that a file server
   * shares: nosuid, nodev, noexec, and read-only where it is asked. Its owners are mapped by a user namespace
   * that `makeUserNamespace` has opened, where one is named.
   */
  | {
    step: "bindShared";
    source: string;
    target: string;
    kind: "directory" | "file";
    readOnly: boolean;
    recursive: boolean;
    /** Owners are mapped by it: of the mount, or of all that are cloned with it. */
    userNamespace?: string;
    mapsBelow?: boolean;
  }
  /** A connection to a file server, `files`, and the socket that the server takes it from, `fileServer`. */
  | { step: "connectFileServer" }
  /** Starts a file server's process, and waits until it has given up root: see launch/steps/file_server.ts. */
  | { step: "startFileServer"; argv: string[]; fds: InheritedFd[] }
  /** Returns to those of `holdNamespaces`. */
  | { step: "leaveMonitorNamespaces" }
  /** A connection between the container's process, `watch`, and the monitor, `events`. */
  | { step: "connectEvents" }
  /** A connection for each port of the guest's agent: see plan/agent.ts. */
  | { step: "connectAgent"; dns?: true }
  /** In place of it, sockets in the monitor's root, to which the guest connects: see plan/vsock.ts. */
  | {
    step: "listenForAgent";
    /** In that root. */
    directory: string;
    /** Whose the sockets are. */
    uid: number;
    gid: number;
    sockets: { name: string; file: string }[];
  }
  /** Makes the file that keeps the last of the guest's console, `console`: see container/console.ts. */
  | { step: "openConsole"; path: string; size: number }
  /** Reports to the creator that only the exec of the waiter is left. */
  | { step: "barrier" }
  /** Executes the container's process, which lets the monitor begin: see plan/waiter.ts. */
  | { step: "exec"; argv: string[]; env: string[]; fds: InheritedFd[] };

/** Where a guest mounts something in a tree that it shares. */
export interface MountPoint {
  /** Absolute, in the tree. */
  path: string;
  /** A file, and not a directory. */
  isFile: boolean;
  /** Of a directory that is made, 0755 by default. */
  mode?: number;
}

/** A descriptor that a program gets besides the standard files, and its number there. */
export interface InheritedFd {
  /**
   * `start` is the connection of that command, `go` the one between the container's process and the
   * monitor's, `serverGo` the one to the file server's; others as the step that opened it says.
   */
  name: string;
  fd: number;
}

/** Who receives a terminal's master: a listener on a socket of the host, or the creator itself. */
export type TerminalReceiver = { kind: "socket"; path: string } | { kind: "creator" };
