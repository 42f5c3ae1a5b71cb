import { SPEC_VERSION } from "../version.ts";
import { supportedHookNames, supportedNamespaces } from "./supported.ts";

/** What `features` reports; spec_table.ts says the same of each property. */
export function describeFeatures() {
  return {
    ociVersionMin: "1.0.0",
    ociVersionMax: SPEC_VERSION,
    hooks: supportedHookNames,
    // Mounts of the spec are for a file system that the guest does not see.
    mountOptions: [],
    linux: {
      namespaces: supportedNamespaces,
      capabilities: [],
      cgroup: { v1: true, v2: true, systemd: true, systemdUser: false, rdma: false },
      seccomp: { enabled: false },
      apparmor: { enabled: true },
      selinux: { enabled: false },
      intelRdt: { enabled: false },
      // Of volumes that are disks. The kubelet asks for it where a pod has a user namespace.
      mountExtensions: { idmap: { enabled: true } },
    },
    potentiallyUnsafeConfigAnnotations: ["com.urunc."],
  };
}
