import * as v from "valibot";
import { UruncError } from "../errors.ts";
import type { State as OciState } from "../oci/state.ts";

/** Format of state.json; another version's file is refused rather than guessed at. */
export const STATE_VERSION = 1;

/** An annotation of `urunc state`: the identity that the monitor was proven to have. */
export const IDENTITY_ANNOTATION = "com.urunc.identity";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const pid = v.pipe(v.number(), v.integer(), v.minValue(1));
const absolutePath = v.pipe(v.string(), v.startsWith("/"));
const hooks = v.array(v.object({
  path: absolutePath,
  args: v.array(v.string()),
  env: v.array(v.string()),
  timeout: v.optional(v.number()),
}));

const stateSchema = v.object({
  version: v.literal(STATE_VERSION),
  ociVersion: v.string(),
  id: v.string(),
  /** Absolute. */
  bundle: absolutePath,
  annotations: v.record(v.string(), v.string()),
  /** Of the init process, which becomes the monitor. */
  pid: v.optional(pid),
  /** Field 22 of /proc/PID/stat: tells it from a later process with the same number. */
  pidStartTime: v.optional(v.string()),
  /** What init executes before it executes the monitor, as stat(2) tells it. */
  initExecutable: v.optional(v.object({ dev: count, ino: count })),
  /** The process that creates the container, while it does. */
  creatorPid: v.optional(pid),
  creatorStartTime: v.optional(v.string()),
  phase: v.picklist(["creating", "created", "started"]),
  /** ISO 8601. */
  created: v.string(),
  /** Directories in the cgroup file systems that were made for it, its own and their parents. */
  cgroupPaths: v.array(absolutePath),
  network: v.optional(v.object({
    /** Names the network namespace to the host, when anything does. */
    namespacePath: v.optional(v.string()),
    tap: v.string(),
    interface: v.string(),
  })),
  hooks: v.object({ poststart: hooks, poststop: hooks }),
  expectedIdentity: v.optional(v.object({
    uid: count,
    gid: count,
    groups: v.array(count),
    capabilities: v.array(v.string()),
    noNewPrivileges: v.literal(true),
  })),
  /** As it was read from the kernel and found to be as planned, on one line. */
  identity: v.optional(v.string()),
  /** The monitor's name. */
  monitor: v.string(),
  /** Uid of who created the container. */
  owner: count,
});

/** What is kept of a container between one command and the next. */
export type ContainerState = v.InferOutput<typeof stateSchema>;

/**
 * Parses state.json.
 *
 * @param path where the text comes from, for the error
 * @throws UruncError naming the path and what is wrong: no JSON, another version, a field
 */
export function parseState(text: string, path: string): ContainerState {
  const fail = (reason: string) =>
    new UruncError({
      operation: "read container state",
      subject: path,
      reason,
      remedy: "urunc delete --force removes the container",
    });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw fail("it is not JSON");
  }
  if (typeof json !== "object" || json === null) throw fail("it is not a JSON object");
  const version = "version" in json ? json.version : undefined;
  if (version !== STATE_VERSION) {
    throw fail(
      `it has format version ${JSON.stringify(version)}, this urunc reads ${STATE_VERSION}`,
    );
  }
  const result = v.safeParse(stateSchema, json);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw fail(`${v.getDotPath(issue) ?? "the object"}: ${issue.message}`);
}

/** The text of state.json. */
export function printState(state: ContainerState): string {
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
    annotations: state.identity === undefined
      ? state.annotations
      : { ...state.annotations, [IDENTITY_ANNOTATION]: state.identity },
  };
}
