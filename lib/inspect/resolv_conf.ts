import { close, fstat, O_RDONLY, read, S_IFMT, S_IFREG } from "../../ffi/linux.ts";
import { errorMessage, HostError } from "../errors.ts";
import { type Credentials, READ } from "../host/access.ts";
import { explainRefusal, openNamed, reopen, userMayOpen } from "../host/named.ts";
import { HOSTS, RESOLV_CONF } from "../oci/names.ts";
import { readImageFile } from "./image.ts";

/** A resolver reads 3 servers and lines of no length to speak of; this only catches other files. */
const MAXIMUM_BYTES = 64 * 1024;

/**
 * A container's name servers, resolv.conf(5): the file that its caller mounts for it, as
 * docker and Kubernetes do, or the one in its image.
 *
 * @param mounts of config.json
 * @param imageRoot from `openImageRoot`; undefined: nothing is read of the image
 * @param user of the container, who must be able to read the mounted file
 * @returns undefined when there is neither
 * @throws HostError when the mounted file cannot be read
 */
export function readResolvConf(
  mounts: readonly { destination: string; source?: string }[],
  imageRoot: number | undefined,
  user: Credentials,
): string | undefined {
  // Of several mounts on one place the last is seen.
  const source = mounts.findLast(({ destination }) => destination === RESOLV_CONF)?.source;
  const bytes = source === undefined
    ? imageRoot === undefined ? undefined : readImageFile(imageRoot, RESOLV_CONF, MAXIMUM_BYTES)
    : readMounted(source, user, "name servers");
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
}

/**
 * A container's host names, hosts(5): only what its caller mounts for it, since the image's file is not in
 * the guest.
 *
 * @returns undefined when nothing is mounted
 * @throws HostError when it cannot be read
 */
export function readHosts(
  mounts: readonly { destination: string; source?: string }[],
  user: Credentials,
): string | undefined {
  const source = mounts.findLast(({ destination }) => destination === HOSTS)?.source;
  if (source === undefined) return undefined;
  return new TextDecoder().decode(readMounted(source, user, "host names"));
}

function readMounted(source: string, user: Credentials, what: string): Uint8Array {
  const fail = (reason: string, cause?: unknown) =>
    new HostError({
      operation: `read the container's ${what}`,
      subject: source,
      reason,
      cause,
    });
  let found: number;
  try {
    found = openNamed(source);
  } catch (cause) {
    throw fail(errorMessage(cause), cause);
  }
  try {
    const { mode, size } = fstat(found);
    if ((mode & S_IFMT) !== S_IFREG) throw fail("it is not a regular file");
    if (size > MAXIMUM_BYTES) {
      throw fail(`it has ${size} bytes, at most ${MAXIMUM_BYTES} are read`);
    }
    if (!userMayOpen(found, user, READ)) throw fail(explainRefusal(found, user));
    return readStart(found, size);
  } finally {
    close(found);
  }
}

/** A file that grows meanwhile is cut. */
function readStart(found: number, size: number): Uint8Array {
  const fd = reopen(found, O_RDONLY);
  try {
    const content = new Uint8Array(size);
    let filled = 0;
    for (let count = 1; count > 0 && filled < size; filled += count) {
      count = read(fd, content.subarray(filled));
    }
    return content.subarray(0, filled);
  } finally {
    close(fd);
  }
}
