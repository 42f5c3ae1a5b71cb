import { arch } from "../arch/arch.ts";
import { UnsupportedError } from "../errors.ts";
import type { HostFacts } from "../inspect/types.ts";
import type { Monitor } from "../monitor/types.ts";
import { monitorsThat } from "../monitor/registry.ts";
import { isReadOnlyMount } from "../oci/read_only.ts";
import type { Spec } from "../oci/types.ts";

/**
 * What of the host's files a guest with an agent sees, by one file server. The tree that is shared, by
 * the tag `urunc`, has `root/`, the container's root, and `v/0` to `v/N`, its volumes; that of a single file is `v/N/file`.
 */
export interface SharedFiles {
  /** Whether the container's root is the guest's. */
  root?: { readOnly: boolean };
  /** In config.json's order; a volume's position is the number of its directory in `v/`. */
  volumes: SharedVolume[];
}

/** A file or directory of the host that config.json binds into the container. */
export interface SharedVolume {
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
}

/** The path of a volume in the tree that is shared. */
export function sharedPath(position: number, { isFile }: Pick<SharedVolume, "isFile">): string {
  return isFile ? `v/${position}/file` : `v/${position}`;
}

/** What the decision depends on. */
export interface SharedFilesInput {
  spec: Pick<Spec, "mounts" | "root">;
  facts: Pick<HostFacts, "sharedRoot" | "sharedMounts" | "nodeKernel">;
  monitor: Pick<Monitor, "title" | "sharesFiles">;
}

/**
 * What a guest with an agent sees of the host's files.
 *
 * @returns undefined: nothing
 * @throws UnsupportedError when the monitor cannot share anything with a guest, or the kernel of the node
 *   has no driver for it
 */
export function planSharedFiles(input: SharedFilesInput): SharedFiles | undefined {
  const { spec, facts } = input;
  const { sharedRoot, sharedMounts = [] } = facts;
  if (sharedRoot === undefined && sharedMounts.length === 0) return undefined;
  requireSharing(input);
  return {
    ...(sharedRoot === undefined
      ? {}
      : { root: { readOnly: sharedRoot.readOnly || spec.root.readonly } }),
    volumes: sharedMounts.map(({ index, isFile }) => {
      const { source, destination, options } = spec.mounts[index]!;
      const readOnly = isReadOnlyMount(options);
      return { source: source!, destination, isFile, readOnly, options, index };
    }),
  };
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
