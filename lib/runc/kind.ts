import { close } from "../../ffi/linux.ts";
import type { Configuration } from "../config/types.ts";
import { InvalidConfigurationError, NotAllowedError } from "../errors.ts";
import { containerName, isSandbox, SANDBOX_ID } from "../oci/annotations.ts";
import { readBounded } from "../os/files.ts";
import { openImageRoot } from "../inspect/image.ts";
import { readUruncJson } from "../inspect/urunc_json.ts";
import { resolvePath } from "../os/path.ts";
import { isUnikernel } from "../guest/parse.ts";
import { describedInstead } from "../guest/pod.ts";
import { debug } from "../watch.ts";

/** What decides who runs a container. */
export interface BundleSummary {
  annotations: Record<string, string>;
  /** Absolute path of the image's root. */
  rootfs: string;
  /** Other programs are run for it, which may write to the image's root. */
  hasHooks: boolean;
}

/** As much as the strict parser reads of a config.json. */
export const MAXIMUM_CONFIG_BYTES = 10 * 1024 * 1024;

/** What Knative calls its own container in a pod. */
export const QUEUE_PROXY = "queue-proxy";

/**
 * Looks at a bundle without judging it: what is not a unikernel need not be anything that this program
 * could run.
 *
 * @throws InvalidConfigurationError when config.json is not JSON
 */
export function summarizeBundle(bundle: string): BundleSummary {
  const path = `${bundle}/config.json`;
  return summarize(bundle, readBounded(path, MAXIMUM_CONFIG_BYTES, { operation: "read bundle" }));
}

/** @param bytes of the bundle's config.json */
export function summarize(bundle: string, bytes: Uint8Array): BundleSummary {
  let config: {
    annotations?: Record<string, unknown>;
    root?: { path?: unknown };
    hooks?: unknown;
  } | null;
  try {
    config = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new InvalidConfigurationError({
      operation: "read bundle",
      subject: `${bundle}/config.json`,
      reason: "it is not JSON",
      cause,
    });
  }
  const root = config?.root?.path;
  return {
    annotations: Object.fromEntries(
      Object.entries(config?.annotations ?? {}).filter(([, value]) => typeof value === "string"),
    ) as Record<string, string>,
    rootfs: resolvePath(bundle, typeof root === "string" ? root : "rootfs"),
    hasHooks: Object.keys(config?.hooks ?? {}).length > 0,
  };
}

/**
 * Whether a container is a guest, or an ordinary one that an OCI runtime runs: a pod's sandbox always
 * (it has the pod's annotations, and no guest), Knative's queue-proxy, and whatever does not say that it
 * is a guest. What says so badly is a guest, and an error then: it must not lose its isolation.
 *
 * @throws HostError when the image's root cannot be opened
 */
export function isGuest({ annotations, rootfs }: BundleSummary): boolean {
  if (isSandbox(annotations)) return decided(false, "it is a pod's sandbox");
  if (containerName(annotations) === QUEUE_PROXY) return decided(false, "it is the queue-proxy");
  if (isUnikernel(annotations)) return decided(true, "its annotations describe one");
  const other = describedInstead(annotations);
  const root = openImageRoot(rootfs);
  try {
    const json = readUruncJson(root);
    return isUnikernel(annotations, json === undefined ? undefined : "{}")
      ? decided(true, "/urunc.json of its image describes one")
      : decided(
        false,
        other === undefined
          ? "neither its annotations nor /urunc.json of its image describe one"
          : `its pod's annotations describe the container ${other}, and /urunc.json no guest`,
      );
  } finally {
    close(root);
  }
}

/**
 * Whether a container that nothing describes ({@linkcode isGuest}) is a Linux guest all the same, since the
 * operator wants that of all but the sandboxes of pods.
 *
 * @throws InvalidConfigurationError when there is no kernel for it
 */
export function isGuestByPolicy(
  { annotations }: Pick<BundleSummary, "annotations">,
  { guests, "guests.linux": linux }: Pick<Configuration, "guests" | "guests.linux">,
): boolean {
  if (guests.undescribed !== "linux" || isSandbox(annotations)) return false;
  if (linux.kernel === undefined) {
    throw new InvalidConfigurationError({
      operation: "choose a kernel for the container",
      subject: "guests.linux.kernel",
      reason: 'it names none, and guests.undescribed is "linux" in the configuration',
      remedy: "urunc kernel add stores a kernel, whose name goes there",
    });
  }
  return decided(true, 'guests.undescribed is "linux" in the configuration');
}

/**
 * Looks at a container that is not a guest ({@linkcode isGuest}): what else it may be the operator decides.
 * Anybody may call a container of a pod `queue-proxy`; the engine alone says what a sandbox is.
 *
 * @throws NotAllowedError unless it is a pod's sandbox, or `guests.undescribed` is "runc"
 */
export function requireOrdinaryAllowed(
  { annotations }: Pick<BundleSummary, "annotations">,
  { guests }: Pick<Configuration, "guests">,
): void {
  if (guests.undescribed === "runc" || isSandbox(annotations)) return;
  const isProxy = containerName(annotations) === QUEUE_PROXY;
  throw new NotAllowedError({
    operation: "check the operator's policy",
    subject: isProxy ? `the container ${QUEUE_PROXY}` : "the container",
    reason: `${
      isProxy ? "it is not a guest" : "neither its annotations nor /urunc.json describe a guest"
    }, and guests.undescribed is "${guests.undescribed}" in the configuration`,
    remedy: "it would run on the host's kernel; use another runtime for it",
  });
}

function decided(isGuest: boolean, why: string): boolean {
  debug(`the container is ${isGuest ? "a guest" : "not a guest"}: ${why}`);
  return isGuest;
}

/** Whether other containers share a shim with this one. */
export function isInPod({ annotations }: Pick<BundleSummary, "annotations">): boolean {
  return Object.hasOwn(annotations, SANDBOX_ID);
}
