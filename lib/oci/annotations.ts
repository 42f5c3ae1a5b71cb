/** Annotations that describe a container's place in a pod. */

type Annotations = Readonly<Record<string, string>>;

/** A container's name in its pod, as containerd sets it. */
const CONTAINER_NAME = "io.kubernetes.cri.container-name";

/** The same of the kubelet, a label of every container that CRI-O makes an annotation. */
const KUBELET_CONTAINER_NAME = "io.kubernetes.container.name";

/** The id of a pod's sandbox, which containerd sets on each container of the pod; and which CRI-O sets. */
export const SANDBOX_ID = "io.kubernetes.cri.sandbox-id";
export const CRIO_SANDBOX_ID = "io.kubernetes.cri-o.SandboxID";

/** Whether it is `sandbox` or `container` of a pod: containerd's, then CRI-O's, which podman sets too. */
const CONTAINER_TYPES = [
  "io.kubernetes.cri.container-type",
  "io.kubernetes.cri-o.ContainerType",
] as const;

/** CRI-O sets it to `cri-o`, podman to `libpod`. */
const MANAGER = "io.container.manager";

/**
 * Whether a container is a pod's sandbox. CRI-O passes on a pod's annotations of any name, and writes its
 * own over them: what the pod's author says in containerd's words does not make a sandbox of a container.
 */
export function isSandbox(annotations: Annotations): boolean {
  const types = CONTAINER_TYPES.map((key) => annotations[key]).filter((it) => it !== undefined);
  return types.length > 0 && types.every((type) => type === "sandbox");
}

/** Whether a container is one of a pod, the sandbox or another. */
export function isOfPod(annotations: Annotations): boolean {
  return CONTAINER_TYPES.some((key) => annotations[key] !== undefined);
}

/** Whether CRI-O made a container. */
export function isOfCrio(annotations: Annotations): boolean {
  return annotations[CONTAINER_TYPES[1]] !== undefined && annotations[MANAGER] === "cri-o";
}

/** A container's name in its pod; undefined: it has none. Of CRI-O's containers only its own word counts. */
export function containerName(annotations: Annotations): string | undefined {
  return annotations[isOfCrio(annotations) ? KUBELET_CONTAINER_NAME : CONTAINER_NAME];
}
