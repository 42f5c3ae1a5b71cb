/** A container's name in its pod, as containerd and CRI-O set it for Kubernetes. */
export const CONTAINER_NAME = "io.kubernetes.cri.container-name";

/** The id of a pod's sandbox, set by the same on each container of the pod. */
export const SANDBOX_ID = "io.kubernetes.cri.sandbox-id";
