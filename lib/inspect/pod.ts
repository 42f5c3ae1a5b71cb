import { Fields, Place } from "../decode/decode.ts";
import { InvalidConfigurationError } from "../errors.ts";
import { CRIO_SANDBOX_ID, isOfCrio, isSandbox, SANDBOX_ID } from "../oci/annotations.ts";
import { maximumSpecBytes } from "../oci/parse.ts";
import { isThere, readBounded } from "../os/files.ts";
import { parentPath } from "../os/path.ts";

/** An id of containerd's or CRI-O's: it is the name of a directory. */
const ID = /^[A-Za-z0-9_-][A-Za-z0-9_.-]*$/;

/**
 * Reads which settings of the kernel a container's pod asks for. containerd and CRI-O write them into the sandbox's
 * config.json only: of the namespaces that the pod's containers share.
 *
 * @param bundle of the container; absolute. The sandbox's is beside it
 * @returns none when it is in no pod of theirs
 * @throws InvalidConfigurationError naming the sandbox's config.json
 */
export function readPodSysctls(
  bundle: string,
  annotations: Readonly<Record<string, string>>,
): Record<string, string> {
  const isCrio = isOfCrio(annotations);
  const id = annotations[isCrio ? CRIO_SANDBOX_ID : SANDBOX_ID];
  if (id === undefined || !ID.test(id)) return {};
  // Bundles are NAMESPACE/ID of containerd's, and overlay-containers/ID/userdata of CRI-O's.
  const path = isCrio
    ? `${parentPath(parentPath(bundle))}/${id}/userdata/config.json`
    : `${parentPath(bundle)}/${id}/config.json`;
  // Somebody else says that there is a pod.
  if (!isThere(path)) return {};
  const bytes = readBounded(path, maximumSpecBytes, { operation: "read the pod's sandbox" });
  const spec = Fields.ofJson(new TextDecoder().decode(bytes), placeIn(path));
  if (!isSandbox(spec.textRecord("annotations"))) return {};
  return spec.section("linux").textRecord("sysctl");
}

function placeIn(subject: string): Place {
  return new Place({
    error: (path, reason) =>
      new InvalidConfigurationError({
        operation: "read the pod's sandbox",
        subject: path === "" ? subject : `${subject} ${path}`,
        reason,
      }),
  });
}
