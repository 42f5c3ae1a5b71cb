import { kernelNameForm } from "../guest/kernel/name.ts";
import { keys as imageKeys } from "../guest/keys.ts";
import { monitorNames } from "../monitor/registry.ts";
import { isCall } from "../seccomp/calls.ts";
import { capabilityNames } from "./capabilities.ts";
import { ID_RANGE_FORM, parseIdRange } from "./id_range.ts";
import { matchesPattern } from "./pattern.ts";

/** A form that a string must have: what is allowed, as text, and the test for it. */
export interface Form {
  allowed: string;
  accepts(value: string): boolean;
}

/** A key of config.toml and its values. Pure data: the parser and the manual page read it. */
export type KeySpec =
  | { kind: "choice"; choices: readonly string[]; default: string; help: string }
  | { kind: "integer"; minimum: number; maximum: number; default?: number; help: string }
  | { kind: "boolean"; default: boolean; help: string }
  | { kind: "text"; form: Form; default?: string; help: string }
  | { kind: "texts"; form: Form; default?: readonly string[]; help: string };

export type KeySpecs = Record<string, KeySpec>;

type ValueOf<Spec extends KeySpec> = Spec extends { kind: "integer"; default: number } ? number
  : Spec extends { kind: "integer" } ? number | undefined
  : Spec extends { kind: "boolean" } ? boolean
  : Spec extends { kind: "texts" } ? string[]
  : Spec extends { kind: "choice"; choices: readonly (infer Choice)[] } ? Choice
  : Spec extends { default: string } ? string
  : string | undefined;

/** The values of a table's keys, defaults included. */
export type KeyValues<Specs extends KeySpecs> = {
  -readonly [Key in keyof Specs]: ValueOf<Specs[Key]>;
};

const absolutePath: Form = {
  allowed: "an absolute path",
  accepts: (value) => value.startsWith("/") && !value.includes("\0"),
};

const program: Form = {
  allowed: "a program's name, or an absolute path",
  accepts: (value) => value !== "" && !value.includes("\0") && /^(\/|[^/]+$)/.test(value),
};

const parameterPattern: Form = {
  allowed: "a kernel parameter's name, or the beginning of names and a *",
  accepts: (value) => /^[A-Za-z0-9_.-]*\*?$/.test(value) && value !== "",
};

const monitorPattern: Form = {
  allowed: `a monitor's name, ${monitorNames().join(", ")}, or "*"`,
  accepts: (value) => value === "*" || monitorNames().includes(value),
};

const acceleratorPattern: Form = {
  allowed: '"kvm", "tcg" or "*"',
  accepts: (value) => ["kvm", "tcg", "*"].includes(value),
};

/** One that matches none is misspelt. */
const imageKeyPattern: Form = {
  allowed: "a key of a guest's description, as cmdline, or the beginning of keys and a *",
  accepts: (value) => imageKeys.some((key) => matchesPattern(value, key)),
};

/** Neither is 0: the key is there to get away from it. */
const unprivilegedUser: Form = {
  allowed: '"UID:GID", two numbers from 1 to 4294967294',
  accepts: (value) =>
    /^\d{1,10}:\d{1,10}$/.test(value) &&
    value.split(":").map(Number).every((id) => id >= 1 && id <= 2 ** 32 - 2),
};

const idRange: Form = {
  allowed: ID_RANGE_FORM,
  accepts: (value) => parseIdRange(value) !== undefined,
};

const capability: Form = {
  allowed: "a capability's name, as CAP_NET_ADMIN (capabilities(7))",
  accepts: (value) => capabilityNames.includes(value),
};

const systemCall: Form = {
  allowed: "a system call's name, as io_uring_setup (syscalls(2))",
  accepts: isCall,
};

/** The keys at the top of config.toml. */
export const configurationKeys = {
  device_access: {
    kind: "choice",
    choices: ["private", "groups", "fd"],
    default: "private",
    help:
      "How the monitor gets its devices. private: nodes made for this container alone, owned by " +
      "the monitor's user. groups: the host's own nodes, whose owner, mode and group decide. fd: no " +
      "nodes; QEMU (9.0 or later) gets open descriptors.",
  },
  accelerator: {
    kind: "choice",
    choices: ["kvm", "tcg"],
    default: "kvm",
    help: "tcg: guests on this node run emulated, slowly. Emulation is never a fallback for KVM.",
  },
  default_memory_mib: {
    kind: "integer",
    minimum: 1,
    // 1 TiB: only catches a number meant as bytes.
    maximum: 2 ** 20,
    default: 256,
    help: "Memory in MiB of a guest whose container has no memory limit.",
  },
  default_vcpus: {
    kind: "integer",
    minimum: 1,
    // Of QEMU: see its maximumVcpus.
    maximum: 255,
    default: 1,
    help: "Virtual processors of a guest whose container has no limit of processors.",
  },
  maximum_boot_file_mib: {
    kind: "integer",
    minimum: 1,
    maximum: 2 ** 20,
    default: 1024,
    help:
      "How large a guest's kernel, and its initial RAM disk, may be, in MiB. What is loaded of them " +
      "must fit into the guest's memory, too.",
  },
  denied_kernel_parameters: {
    kind: "texts",
    form: parameterPattern,
    help:
      "Linux kernel parameters that neither image nor annotation may set by kernelParameters. A * at " +
      'the end stands for any rest: "*" denies all. None by default.',
  },
  network_filter: {
    kind: "choice",
    choices: ["addresses", "off"],
    default: "addresses",
    help:
      "addresses: a guest can send only under the MAC and the addresses of its container; forged " +
      "ARP, neighbour and router advertisements are dropped. off: it can send anything.",
  },
  seccomp: {
    kind: "choice",
    choices: ["on", "log", "strict", "off"],
    default: "on",
    help:
      "Filters of system calls for monitors and the container's process, besides those that monitors " +
      "have themselves. on: what is not on the monitor's list fails, and what only an attacker calls " +
      "kills it. log: all is allowed, and the kernel's log has what on would refuse. strict: all that on " +
      "refuses kills. off: no filters.",
  },
  shim_group: {
    kind: "choice",
    choices: ["container", "namespace"],
    default: "container",
    help:
      "container: a shim for each container or pod. namespace: one shim for all containers of a " +
      "containerd namespace.",
  },
  oci_runtime: {
    kind: "text",
    form: program,
    default: "runc",
    help: "Runs the containers that are not guests: a pod's sandbox, sidecars, images without a " +
      "description. They run on the host's kernel.",
  },
} as const satisfies KeySpecs;

/** The keys of other tables, by table; a table's name with a dot is below that of its first part. */
export const configurationTables = {
  allow: {
    monitors: {
      kind: "texts",
      form: monitorPattern,
      default: ["*"],
      help: "Monitors that image and annotations may choose. Every one by default.",
    },
    accelerators: {
      kind: "texts",
      form: acceleratorPattern,
      default: ["*"],
      help:
        'Accelerators that guests may run with: without "tcg" an image that asks for emulation is ' +
        "refused. Both by default. Solo5's spt needs none, and is not concerned.",
    },
    annotations: {
      kind: "texts",
      form: imageKeyPattern,
      default: ["*"],
      help:
        "Keys of a guest's description, without com.urunc.unikernel., that annotations and the image's " +
        "/urunc.json may set. unikernelType, hypervisor and binary are needed by every guest. All by " +
        "default.",
    },
    host_devices: {
      kind: "boolean",
      default: true,
      help:
        "Whether a container may be given block devices of the host as disks of its guest, by a " +
        "volume or by linux.devices. The disk of an image with mountRootfs is not concerned.",
    },
    root_monitor: {
      kind: "boolean",
      default: true,
      help:
        "Whether a monitor, or a guest's file server, may run as uid 0, which it does for a container without " +
        "a user. false refuses such a container, unless ids.default_user gives it another one.",
    },
  },
  guests: {
    undescribed: {
      kind: "choice",
      choices: ["runc", "linux", "refuse"],
      default: "runc",
      help:
        "What becomes of a container that neither annotations nor /urunc.json of its image describe as a " +
        "guest, and of Knative's queue-proxy. runc: oci_runtime runs it on the host's kernel. linux: it is " +
        "a Linux guest with the kernel that guests.linux.kernel names. refuse: it is an error. A pod's " +
        "sandbox is run by oci_runtime always.",
    },
  },
  "guests.linux": {
    kernel: {
      kind: "text",
      form: kernelNameForm,
      help:
        "The kernel, by its name there, of Linux guests whose images bring none and name none. " +
        "Without it an image that brings none must name one.",
    },
    kernels: {
      kind: "text",
      form: absolutePath,
      default: "/var/lib/urunc/kernels",
      help: "The directory of the kernels that urunc kernel add stores. It is root's alone.",
    },
    file_access: {
      kind: "choice",
      choices: ["user", "userns"],
      default: "user",
      help:
        "Who the file server of a guest is that sees files of the host. user: the container's user, whose " +
        "all files are that the guest makes. userns: root in a user namespace with 65536 ids out of " +
        "ids.range, for this container alone; the owners of files on disk are those that the guest sees. " +
        "What cannot be served so is an error. A container that has a user namespace has its files in that.",
    },
  },
  ids: {
    default_user: {
      kind: "text",
      form: unprivilegedUser,
      help:
        "The user and group of the monitor of a container whose user is uid 0, in place of uid 0, its " +
        "group and its additional groups. None by default.",
    },
    mode: {
      kind: "choice",
      choices: ["container", "uid", "userns"],
      default: "container",
      help:
        "Who the monitor is on the host. container: the container's user. uid: a user and group of its " +
        "own out of range, and no additional groups, so that no two guests share what the kernel counts " +
        "or allows by user. userns: the same, in a user namespace that has only this user. Files that the container names are opened as its user may, and programs in a " +
        "guest with an agent are that user, in every mode.",
    },
    range: {
      kind: "text",
      form: idRange,
      help:
        'The ids that mode and guests.linux.file_access take from, "START-END", for this host alone. None of them may be of a user, a ' +
        'group, or a line of /etc/subuid or /etc/subgid but of the name "urunc".',
    },
  },
} as const satisfies Record<string, KeySpecs>;

/** The keys of a table `monitors.NAME`. */
export const monitorKeys = {
  path: {
    kind: "text",
    form: absolutePath,
    help:
      "The monitor's executable. Otherwise it is looked up by name in the system's directories.",
  },
  capabilities: {
    kind: "texts",
    form: capability,
    help: "Capabilities that the monitor keeps. None by default.",
  },
  system_calls: {
    kind: "texts",
    form: systemCall,
    help: "System calls that the monitor may make besides those of its list. None by default.",
  },
  default_memory_mib: {
    kind: "integer",
    minimum: 1,
    maximum: 2 ** 20,
    help: "As the key of that name above, for guests on this monitor.",
  },
  default_vcpus: {
    kind: "integer",
    minimum: 1,
    maximum: 255,
    help: "As the key of that name above, for guests on this monitor.",
  },
  vhost: {
    kind: "boolean",
    default: false,
    help:
      "Whether the host's kernel moves the packets of guests (vhost-net) in place of the monitor, on a " +
      "processor of its own where there is one; more of the kernel is within a guest's reach. QEMU only.",
  },
  data_paths: {
    kind: "texts",
    form: absolutePath,
    help:
      "Files and directories of the host that are bound read-only into the monitor's root, in " +
      "addition to its own.",
  },
} as const satisfies KeySpecs;

/** Every key of a table `monitors.NAME.firmware`: a monitor says which kinds it has. */
export const firmwareKey = {
  kind: "text",
  form: absolutePath,
  help:
    "The file with this firmware. Otherwise it is looked up in data_paths and where distributions keep it.",
} as const satisfies KeySpec;
