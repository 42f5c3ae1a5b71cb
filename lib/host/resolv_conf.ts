import { readBounded } from "./files.ts";
import { readImageFile } from "./image.ts";

const PATH = "/etc/resolv.conf";

/** A resolver reads 3 servers and lines of no length to speak of; this only catches other files. */
const MAXIMUM_BYTES = 64 * 1024;

/**
 * IPv4 name servers that a container is told: by the file that its caller mounts for it, as docker
 * and Kubernetes do, or by the one in its image.
 *
 * @param mounts of config.json
 * @param imageRoot from `openImageRoot`
 * @throws HostError when the mounted file cannot be read
 */
export function readNameservers(
  mounts: readonly { destination: string; source?: string }[],
  imageRoot: number,
): string[] {
  // Of several mounts on one place the last is seen.
  const source = mounts.findLast(({ destination }) => destination === PATH)?.source;
  const bytes = source === undefined
    ? readImageFile(imageRoot, PATH, MAXIMUM_BYTES)
    : readBounded(source, MAXIMUM_BYTES, { operation: "read the container's name servers" });
  return bytes === undefined ? [] : parseNameservers(new TextDecoder().decode(bytes));
}

/** The IPv4 addresses of `nameserver` lines, in order, resolv.conf(5). */
export function parseNameservers(text: string): string[] {
  return [...text.matchAll(/^nameserver[ \t]+(\d{1,3}(?:\.\d{1,3}){3})[ \t]*(?:[#;].*)?$/gm)]
    .map(([, address]) => address!)
    .filter((address) => address.split(".").every((byte) => Number(byte) <= 255));
}
