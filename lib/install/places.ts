/** Where the executable is put, unless a package has put it elsewhere. */
export const EXECUTABLE = "/usr/local/bin/urunc";
export const SHIM = "containerd-shim-urunc-v2";
export const PACKAGED = "/usr/bin/urunc";

/** Programs that call this runtime. */
export type Engine = "containerd" | "docker" | "crio" | "podman";
export const ENGINES: readonly Engine[] = ["containerd", "docker", "crio", "podman"];

/** Where each is configured, and what it is when installed. */
export const FILES: Record<Engine, { path: string; program: string }> = {
  containerd: { path: "/etc/containerd/config.toml", program: "containerd" },
  docker: { path: "/etc/docker/daemon.json", program: "dockerd" },
  crio: { path: "/etc/crio/crio.conf.d/50-urunc.conf", program: "crio" },
  podman: { path: "/etc/containers/containers.conf.d/50-urunc.conf", program: "podman" },
};
