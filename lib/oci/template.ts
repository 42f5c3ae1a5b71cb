import { SPEC_VERSION } from "../version.ts";
/**
 * A config.json to start from, as `urunc spec` writes it: an unprivileged guest with namespaces of
 * its own, described by annotations.
 */
export function specTemplate(): Record<string, unknown> {
  return {
    ociVersion: SPEC_VERSION,
    hostname: "guest",
    root: { path: "rootfs", readonly: true },
    process: {
      terminal: false,
      user: { uid: 65534, gid: 65534 },
      args: [],
      env: [],
      cwd: "/",
    },
    annotations: {
      "com.urunc.unikernel.unikernelType": "linux",
      "com.urunc.unikernel.hypervisor": "qemu",
      "com.urunc.unikernel.binary": "/boot/vmlinuz",
      "com.urunc.unikernel.initrd": "/boot/initrd",
    },
    linux: {
      namespaces: ["pid", "network", "ipc", "uts", "mount", "cgroup"].map((type) => ({ type })),
      resources: { memory: { limit: 512 * 1024 * 1024 } },
    },
  };
}
