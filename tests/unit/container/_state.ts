import type { ContainerState } from "../../../lib/container/state.ts";

/** A state with every part that a created container has. */
export const STATE: ContainerState = {
  version: 1,
  ociVersion: "1.2.0",
  id: "one",
  bundle: "/bundle",
  annotations: { key: "value" },
  pid: 42,
  pidStartTime: "123456789012345678",
  initExecutable: { dev: 1, ino: 2 },
  phase: "created",
  created: "2026-01-01T00:00:00.000Z",
  lacksNetwork: true,
  cgroupPaths: ["/sys/fs/cgroup/urunc/one", "/sys/fs/cgroup/urunc"],
  hooks: { poststart: [], poststop: [{ path: "/bin/true", args: [], env: [], timeout: 1 }] },
  expectedIdentity: { uid: 1, gid: 2, groups: [3], capabilities: [], noNewPrivileges: true },
  monitor: "qemu",
  owner: 0,
};
