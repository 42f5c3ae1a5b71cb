import { parentPath } from "../os/path.ts";
import { locate } from "./tree.ts";

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

/** Where the files are kept as they were before. */
export const BACKUPS = "/var/lib/urunc/install";

const CONFIGURATIONS = Object.values(FILES).map(({ path }) => path);

/** All that may be written, but for what is in {@linkcode BACKUPS}. */
export const WRITTEN: readonly string[] = [
  EXECUTABLE,
  ...[EXECUTABLE, PACKAGED].map((it) => `${parentPath(it)}/${SHIM}`),
  ...CONFIGURATIONS,
];

/** All directories that may be made. */
export const MADE: readonly string[] = [
  ...new Set([...WRITTEN.map(parentPath), BACKUPS].flatMap(withParents)),
];

function withParents(path: string): string[] {
  return path === "/" ? [] : [...withParents(parentPath(path)), path];
}

/**
 * Which file of the host is meant by one of {@linkcode WRITTEN}: a configuration may be a link to where it
 * really is; the executable's own name is replaced.
 *
 * @throws HostError when it is not below the prefix
 */
export function fileOf(prefix: string, path: string): string {
  return locate(prefix, path, CONFIGURATIONS.includes(path) ? "followed" : "link");
}
