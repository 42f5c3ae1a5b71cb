import type { Spec } from "./types.ts";

/** Where docker (`--init`) and podman (`--init`) put their init in a container. */
const INIT_PROGRAMS = new Set([
  "/sbin/docker-init",
  "/dev/init",
  "/run/podman-init",
  "/catatonit",
]);

/** Whether an engine mounts its own init program there. */
export function isInitProgram(path: string): boolean {
  return INIT_PROGRAMS.has(path);
}

/**
 * The arguments meant for the guest. With `--init` an engine binds a small init into the container
 * and makes it the first argument, to reap processes as PID 1. A guest's kernel has its own, so the
 * wrapper is taken off again.
 */
export function guestArguments(spec: Spec): string[] {
  const { args } = spec.process;
  const [program, separator] = args;
  const wrapped = program !== undefined && isInitProgram(program) &&
    spec.mounts.some(({ destination }) => destination === program);
  if (!wrapped) return args;
  return args.slice(separator === "--" ? 2 : 1);
}
