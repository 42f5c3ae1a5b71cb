import { InvalidConfigurationError } from "../errors.ts";
import { containerName } from "../oci/annotations.ts";
import { keyPrefix, projectPrefix } from "./keys.ts";

/**
 * Annotation of a pod that names the container which the others describe: Kubernetes has annotations of
 * pods only, and engines pass them on to every container.
 */
const CONTAINER_KEY = `${keyPrefix}container`;

/** A DNS label, as names of containers are (RFC 1123, section 2.1). */
const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

type Annotations = Record<string, string>;

/** The container that a pod's annotations describe, where it is not this one; undefined: it is. */
export function describedInstead(annotations: Annotations): string | undefined {
  const named = annotations[CONTAINER_KEY];
  if (named === undefined || !NAME.test(named)) return undefined;
  const own = containerName(annotations);
  return own === undefined || own === named ? undefined : named;
}

/**
 * The annotations that are meant for a container: all, or none of ours.
 *
 * @throws InvalidConfigurationError when they name a container badly, or this one has no name
 */
export function ownAnnotations(annotations: Annotations): Annotations {
  const named = annotations[CONTAINER_KEY];
  if (named === undefined || named === "") return annotations;
  if (!NAME.test(named)) {
    throw unusable(
      `found ${JSON.stringify(named.slice(0, 80))}, allowed: a container's name of the pod`,
    );
  }
  if (containerName(annotations) === undefined) {
    throw unusable("the container has no name in a pod: neither containerd nor CRI-O has set one");
  }
  const isOthers = describedInstead(annotations) !== undefined;
  return Object.fromEntries(
    Object.entries(annotations).filter(([key]) =>
      key !== CONTAINER_KEY && !(isOthers && key.startsWith(projectPrefix))
    ),
  );
}

function unusable(reason: string): InvalidConfigurationError {
  return new InvalidConfigurationError({
    operation: "read the unikernel's description",
    subject: CONTAINER_KEY,
    reason,
    remedy: "it is an annotation of a pod, and names the container that is the guest",
  });
}
