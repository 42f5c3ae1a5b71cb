import { isOfPod } from "../oci/annotations.ts";
import type { Spec } from "../oci/types.ts";

/** Where the kubelet's admission mounts it; an image may have a link from one to the other. */
const TOKEN = /^(\/var)?\/run\/secrets\/kubernetes\.io\/serviceaccount$/;

/** What the kubelet and its engines give every container, and only an agent a guest. */
const BY_AGENT: Readonly<Record<string, string>> = {
  "/dev/shm": "/dev/shm",
  "/etc/hosts": "the names of /etc/hosts, and of hostAliases",
};

/**
 * What a pod gives its containers and not its guest, by name.
 *
 * @param input `looksForFiles`: the guest is one that would have had it, by an agent; `sharesRoot`: whatever is
 *   mounted in the container is shared with it
 */
export function podWarnings(
  { spec, looksForFiles, hasAgent, sharesRoot = false }: {
    spec: Pick<Spec, "annotations" | "mounts">;
    looksForFiles: boolean;
    hasAgent: boolean;
    sharesRoot?: boolean;
  },
): string[] {
  if (!isOfPod(spec.annotations)) return [];
  const destinations = spec.mounts.map(({ destination }) => destination);
  const lost = looksForFiles && !hasAgent
    ? destinations.flatMap((destination) => BY_AGENT[destination] ?? [])
    : [];
  return [
    ...!sharesRoot && destinations.some((it) => TOKEN.test(it)) ? [NO_TOKEN] : [],
    ...lost.length > 0
      ? [`the guest has no agent, and so not what pods have: ${lost.join("; ")}`]
      : [],
  ];
}

const NO_TOKEN =
  "the guest does not get the service account's token: automountServiceAccountToken: false leaves it out";
