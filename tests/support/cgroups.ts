/** Cgroups that tests made, in every hierarchy of version 1 or the one of version 2. */
import { readCgroupLayout } from "../../lib/cgroups/layout.ts";

/** Why no limit of memory holds here, for a test that is skipped then. */
export function missingMemoryController(): string | undefined {
  const { v1, v2 } = readCgroupLayout();
  return v1.memory !== undefined || v2?.controllers.includes("memory")
    ? undefined
    : "needs the memory controller";
}

/** The directories of a cgroup, one for each hierarchy that has it. */
export function cgroupDirectories(path: string): string[] {
  const roots = ["/sys/fs/cgroup"];
  for (const entry of Deno.readDirSync("/sys/fs/cgroup")) {
    if (entry.isDirectory) roots.push(`/sys/fs/cgroup/${entry.name}`);
  }
  return roots.map((it) => `${it}${path}`).filter((it) => {
    try {
      return Deno.statSync(it).isDirectory;
    } catch {
      return false;
    }
  });
}

/** Every process in a cgroup or below it. */
export function cgroupProcesses(path: string): number[] {
  const pids = new Set<number>();
  for (const directory of cgroupDirectories(path).flatMap(tree)) {
    try {
      const text = Deno.readTextFileSync(`${directory}/cgroup.procs`);
      for (const pid of text.split("\n").filter(Boolean)) pids.add(Number(pid));
    } catch { /* removed meanwhile */ }
  }
  return [...pids];
}

/** Removes a cgroup and all below it; nothing may run in them any more. */
export function removeCgroupTree(path: string): void {
  for (const directory of cgroupDirectories(path).flatMap(tree)) Deno.removeSync(directory);
}

/** The directory and all below it, deepest first: the kernel's own files need no removing. */
function tree(directory: string): string[] {
  const below = [...Deno.readDirSync(directory)].filter((it) => it.isDirectory)
    .flatMap((it) => tree(`${directory}/${it.name}`));
  return [...below, directory];
}
