import { readBounded } from "../os/files.ts";
import { readImageFile } from "./image.ts";

const PATH = "/etc/resolv.conf";

/** A resolver reads 3 servers and lines of no length to speak of; this only catches other files. */
const MAXIMUM_BYTES = 64 * 1024;

/**
 * A container's name servers, resolv.conf(5): the file that its caller mounts for it, as
 * docker and Kubernetes do, or the one in its image.
 *
 * @param mounts of config.json
 * @param imageRoot from `openImageRoot`
 * @returns undefined when there is neither
 * @throws HostError when the mounted file cannot be read
 */
export function readResolvConf(
  mounts: readonly { destination: string; source?: string }[],
  imageRoot: number,
): string | undefined {
  // Of several mounts on one place the last is seen.
  const source = mounts.findLast(({ destination }) => destination === PATH)?.source;
  const bytes = source === undefined
    ? readImageFile(imageRoot, PATH, MAXIMUM_BYTES)
    : readBounded(source, MAXIMUM_BYTES, { operation: "read the container's name servers" });
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
}
