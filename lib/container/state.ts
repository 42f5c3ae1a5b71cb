import { UruncError } from "../errors.ts";
import {
  absolutePath,
  boolean,
  type Decoder,
  describe,
  type Document,
  Fields,
  integer,
  listOf,
  oneOf,
  Place,
  text as plainText,
} from "../decode/decode.ts";
import type { State as OciState } from "../oci/state.ts";
import type { Hook, IdMapping } from "../oci/types.ts";
import type { ExpectedUserNamespace } from "../host/id_maps.ts";
import type { ExpectedIdentity } from "../host/identity.ts";
import type { Namespaces, OwnNamespace } from "../host/namespaces.ts";
import type { Course, Timeline } from "./timeline.ts";

/** Format of state.json; another version's file is refused rather than guessed at. */
export const STATE_VERSION = 1;

/** An annotation of `urunc state`: the identity that the monitor was proven to have. */
const IDENTITY_ANNOTATION = "com.urunc.identity";

/** Another: that of the waiter. */
const WAITER_IDENTITY_ANNOTATION = "com.urunc.waiter.identity";

/** Another: that of the file server, if there is one. */
const FILES_IDENTITY_ANNOTATION = "com.urunc.files.identity";

/** Another: which namespaces are the monitor's alone. */
const NAMESPACES_ANNOTATION = "com.urunc.monitor.namespaces";

/** Another: the monitor's pid, while it runs; `pid` is the waiter's. */
export const MONITOR_PID_ANNOTATION = "com.urunc.monitor.pid";

/** Another: which kernel of the node the guest runs with, and its checksum. */
const KERNEL_ANNOTATION = "com.urunc.kernel";

/**
 * How the guest's agent is reached: `on` by its own channel, `serial` by the serial line. Without it the
 * guest has no agent.
 */
export const AGENT_ANNOTATION = "com.urunc.agent";

const PHASES = ["creating", "created", "started"] as const;

/** What is kept of a container between one command and the next. */
export interface ContainerState {
  version: typeof STATE_VERSION;
  ociVersion: string;
  id: string;
  /** Absolute. */
  bundle: string;
  /** Absolute path of the image's root; an older urunc did not write it down. */
  rootfs?: string;
  annotations: Record<string, string>;
  /** Of the init process, which becomes the waiter. */
  pid?: number;
  /** Field 22 of /proc/PID/stat: distinguishes it from a later process with the same pid. */
  pidStartTime?: string;
  /** What init executes before it is the waiter, as stat(2) reports it. */
  initExecutable?: { dev: number; ino: number };
  /** The process that creates the container, while it does. */
  creatorPid?: number;
  creatorStartTime?: string;
  phase: (typeof PHASES)[number];
  /** ISO 8601. */
  created: string;
  /** Directories in the cgroup file systems that were made for it, its own and their parents. */
  cgroupPaths: string[];
  /** The scope that systemd made for it. */
  systemdUnit?: string;
  network?: {
    /** Names the network namespace to the host, when anything does. */
    namespacePath?: string;
    /** Distinguishes it from another that the path names later: `/proc/PID/ns/net` of another process. */
    namespace?: { dev: number; ino: number };
    tap: string;
    interface: string;
    /** Of a guest with several interfaces; undefined: that one alone. */
    further?: { tap: string; interface: string }[];
    /** The guest has a subnet of its own, and this was the interface's forwarding before. */
    routed?: { forwarding: boolean };
  };
  /** Its network namespace was empty when it was created. */
  lacksNetwork?: boolean;
  hooks: { poststart: Hook[]; poststop: Hook[] };
  /** The first of its ids out of `ids.range`, which it has until it is deleted. */
  hostId?: number;
  expectedIdentity?: ExpectedIdentity;
  /** What guest and monitor take up at most: the least that a limit may be changed to. */
  memoryBytes?: number;
  /** How many processes and threads the monitor may have: the least that a limit may be changed to. */
  processes?: number;
  /** The guest's virtual processors. */
  vcpus?: number;
  /** The monitor's as it was read from the kernel and found to be as planned, on one line. */
  identity?: string;
  /** The same of the waiter, or of init before `start`. */
  waiterIdentity?: string;
  /** The same of the file server's. */
  filesIdentity?: string;
  /** Who the file server is, a further process of a container whose guest sees files of the host. */
  fileServer?: ExpectedIdentity;
  /** Of its own user namespace, when it is in one. */
  fileServerNamespace?: ExpectedUserNamespace;
  namespaces?: {
    /** Those of the container: its process is in them. */
    container: Namespaces;
    /** In which of these the monitor is apart from it. */
    monitor: OwnNamespace[];
  };
  /** The monitor's, when it is in one. */
  userNamespace?: ExpectedUserNamespace;
  /** The monitor's name. */
  monitor: string;
  /** The guest's kernel, where it is one of the node's. */
  kernel?: { name: string; sha256: string };
  /** Uid of who created the container. */
  owner: number;
  /** Where the time of its start went. */
  timeline?: Timeline;
  stop?: {
    /** How the guest is asked before it is ended; undefined when it cannot be. */
    asking?: "button";
    /** The guest has an agent, which delivers signals to its program. */
    agent?: true;
  };
}

/**
 * Parses state.json.
 *
 * @param path where the text comes from, for the error
 * @throws UruncError naming the path and what is wrong: no JSON, another version, a field
 */
export function parseState(text: string, path: string): ContainerState {
  const document: Document = {
    error: (field, reason) =>
      new UruncError({
        operation: "read container state",
        subject: path,
        reason: field === "" ? reason : `${field}: ${reason}`,
        remedy: "urunc delete --force removes the container",
      }),
  };
  const place = new Place(document);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw place.error("it is not JSON");
  }
  const state = new Fields(json, place);
  const version = state.optional("version", (it) => it);
  if (version !== STATE_VERSION) {
    const isShort = version === undefined || typeof version === "number";
    const found = isShort ? `${version}` : describe(version);
    throw place.error(`it has format version ${found}, this urunc reads ${STATE_VERSION}`);
  }
  return readState(state);
}

const count = integer(0, Number.MAX_SAFE_INTEGER);
export const processId = integer(1, 2 ** 31 - 1);

function readState(state: Fields): ContainerState {
  return {
    version: STATE_VERSION,
    ociVersion: state.required("ociVersion", plainText),
    id: state.required("id", plainText),
    bundle: state.required("bundle", absolutePath),
    rootfs: state.optional("rootfs", absolutePath),
    annotations: state.textRecord("annotations"),
    pid: state.optional("pid", processId),
    pidStartTime: state.optional("pidStartTime", plainText),
    initExecutable: state.optional("initExecutable", readInode),
    creatorPid: state.optional("creatorPid", processId),
    creatorStartTime: state.optional("creatorStartTime", plainText),
    phase: state.required("phase", oneOf(PHASES)),
    created: state.required("created", plainText),
    cgroupPaths: state.required("cgroupPaths", listOf(absolutePath)),
    systemdUnit: state.optional("systemdUnit", plainText),
    network: state.optional("network", readNetwork),
    lacksNetwork: state.optional("lacksNetwork", boolean),
    hooks: state.required("hooks", (value, at) => {
      const hooks = new Fields(value, at);
      return {
        poststart: hooks.required("poststart", listOf(readHook)),
        poststop: hooks.required("poststop", listOf(readHook)),
      };
    }),
    hostId: state.optional("hostId", count),
    expectedIdentity: state.optional("expectedIdentity", readIdentity),
    memoryBytes: state.optional("memoryBytes", count),
    processes: state.optional("processes", count),
    vcpus: state.optional("vcpus", count),
    identity: state.optional("identity", plainText),
    waiterIdentity: state.optional("waiterIdentity", plainText),
    filesIdentity: state.optional("filesIdentity", plainText),
    fileServer: state.optional("fileServer", readIdentity),
    fileServerNamespace: state.optional("fileServerNamespace", readUserNamespace),
    namespaces: state.optional("namespaces", readNamespaces),
    userNamespace: state.optional("userNamespace", readUserNamespace),
    monitor: state.required("monitor", plainText),
    kernel: state.optional("kernel", (value, at) => {
      const kernel = new Fields(value, at);
      const text = (key: string) => kernel.required(key, plainText);
      return { name: text("name"), sha256: text("sha256") };
    }),
    owner: state.required("owner", count),
    stop: state.optional("stop", readStop),
    timeline: state.optional("timeline", readTimeline),
  };
}

const readTimeline: Decoder<Timeline> = (value, at) => {
  const timeline = new Fields(value, at);
  const init = timeline.section("init");
  return {
    create: timeline.required("create", readCourse),
    init: {
      namespaces: init.optional("namespaces", readCourse),
      launch: init.optional("launch", readCourse),
    },
    start: timeline.optional("start", readCourse),
  };
};

const readCourse: Decoder<Course> = (value, at) => {
  const course = new Fields(value, at);
  return {
    pid: course.required("pid", processId),
    began: course.required("began", milliseconds),
    phases: course.required("phases", listOf(readPhase)),
  };
};

const readPhase: Decoder<Course["phases"][number]> = (value, at) => {
  if (!Array.isArray(value) || value.length !== 2) {
    throw at.invalid(describe(value), "a name and a number");
  }
  return [plainText(value[0], at.element(0)), milliseconds(value[1], at.element(1))];
};

/** They have fractions. */
const milliseconds: Decoder<number> = (value, at) => {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw at.invalid(describe(value), "a number");
};

const readInode: Decoder<{ dev: number; ino: number }> = (value, at) => {
  const inode = new Fields(value, at);
  return { dev: inode.required("dev", count), ino: inode.required("ino", count) };
};

const readTap: Decoder<{ tap: string; interface: string }> = (value, at) => {
  const taken = new Fields(value, at);
  return {
    tap: taken.required("tap", plainText),
    interface: taken.required("interface", plainText),
  };
};

const readNetwork: Decoder<ContainerState["network"]> = (value, at) => {
  const network = new Fields(value, at);
  return {
    namespacePath: network.optional("namespacePath", plainText),
    namespace: network.optional("namespace", readInode),
    tap: network.required("tap", plainText),
    interface: network.required("interface", plainText),
    further: network.optional("further", listOf(readTap)),
    routed: network.optional("routed", (routed, at) => ({
      forwarding: new Fields(routed, at).required("forwarding", boolean),
    })),
  };
};

const readNamespaces: Decoder<ContainerState["namespaces"]> = (value, at) => {
  const namespaces = new Fields(value, at);
  return {
    container: namespaces.textRecord("container") as Namespaces,
    monitor: namespaces.required("monitor", listOf(oneOf(["network", "ipc", "pid", "user"]))),
  };
};

const readUserNamespace: Decoder<ExpectedUserNamespace> = (value, at) => {
  const namespace = new Fields(value, at);
  return {
    uids: namespace.required("uids", listOf(readIdMapping)),
    gids: namespace.required("gids", listOf(readIdMapping)),
    name: namespace.optional("name", plainText),
    owner: namespace.optional("owner", count),
  };
};

const readIdMapping: Decoder<IdMapping> = (value, at) => {
  const mapping = new Fields(value, at);
  return {
    containerID: mapping.required("containerID", count),
    hostID: mapping.required("hostID", count),
    size: mapping.required("size", count),
  };
};

const readStop: Decoder<ContainerState["stop"]> = (value, at) => {
  const stop = new Fields(value, at);
  return {
    // "auto" is an earlier version's.
    asking: stop.optional("asking", oneOf(["button", "auto"])) === undefined ? undefined : "button",
    agent: stop.optional("agent", boolean) ? true : undefined,
  };
};

const readHook: Decoder<Hook> = (value, at) => {
  const hook = new Fields(value, at);
  return {
    path: hook.required("path", absolutePath),
    args: hook.required("args", listOf(plainText)),
    env: hook.required("env", listOf(plainText)),
    timeout: hook.optional("timeout", count),
  };
};

const readIdentity: Decoder<ExpectedIdentity> = (value, at) => {
  const identity = new Fields(value, at);
  return {
    uid: identity.required("uid", count),
    gid: identity.required("gid", count),
    groups: identity.required("groups", listOf(count)),
    capabilities: identity.required("capabilities", listOf(plainText)),
    noNewPrivileges: identity.required("noNewPrivileges", (found, at) => {
      if (found !== true) throw at.invalid(describe(found), "true");
      return found;
    }),
    seccompFilters: identity.optional("seccompFilters", count),
    apparmorProfile: identity.optional("apparmorProfile", plainText),
  };
};

/** The text of state.json. */
export function formatState(state: ContainerState): string {
  return JSON.stringify(state) + "\n";
}

/**
 * The state as the runtime specification defines it, for `urunc state` and for hooks.
 *
 * @see https://github.com/opencontainers/runtime-spec/blob/v1.2.0/runtime.md#state
 */
export function ociState(state: ContainerState, status: OciState["status"]): OciState {
  return {
    ociVersion: state.ociVersion,
    id: state.id,
    status,
    // A stopped container has no process, and its number may be another's by now.
    ...(state.pid === undefined || status === "stopped" ? {} : { pid: state.pid }),
    bundle: state.bundle,
    annotations: withIdentity(state),
  };
}

/** Only what we found stands under these keys: an image may have written anything there. */
function withIdentity(state: ContainerState): Record<string, string> {
  const { annotations, identity, waiterIdentity, filesIdentity, namespaces, kernel, stop } = state;
  const found: Record<string, string | undefined> = {
    [IDENTITY_ANNOTATION]: identity,
    [WAITER_IDENTITY_ANNOTATION]: waiterIdentity,
    [FILES_IDENTITY_ANNOTATION]: filesIdentity,
    [NAMESPACES_ANNOTATION]: namespaces?.monitor.join(" "),
    [KERNEL_ANNOTATION]: kernel && `${kernel.name} sha256:${kernel.sha256}`,
    [AGENT_ANNOTATION]: stop?.agent && "on",
    [MONITOR_PID_ANNOTATION]: undefined,
  };
  const pairs = Object.entries({ ...annotations, ...found });
  return Object.fromEntries(pairs.filter((it): it is [string, string] => it[1] !== undefined));
}
