/** What a machine and a caller hold, in numbers. */

/** One count. Memory in KiB. */
export interface Census {
  /** Open descriptors of this process, the caller of all commands. */
  descriptors: number;
  /** Mounts that this process sees. */
  mounts: number;
  /** Directories of cgroups. */
  cgroups: number;
  /** Open files of the whole machine. */
  openFiles: number;
  processes: number;
  /** Of the kernel, that it cannot give back: what namespaces, mounts and cgroups are made of. */
  kernelMemory: number;
  /** Pages of tmpfs and memfd: what clean rooms and program images are made of. */
  sharedMemory: number;
  availableMemory: number;
  /** Resident memory of this process. */
  callerMemory: number;
}

/** Counts now. */
export function takeCensus(): Census {
  const memory = readMemory();
  const kernel = ["SUnreclaim", "KernelStack", "PageTables", "Percpu"];
  return {
    descriptors: [...Deno.readDirSync("/proc/self/fd")].length,
    mounts: lineCount("/proc/self/mountinfo"),
    cgroups: countDirectories("/sys/fs/cgroup"),
    openFiles: Number(Deno.readTextFileSync("/proc/sys/fs/file-nr").split("\t")[0]),
    processes: [...Deno.readDirSync("/proc")].filter((it) => /^\d+$/.test(it.name)).length,
    kernelMemory: kernel.reduce((sum, name) => sum + (memory.get(name) ?? 0), 0),
    sharedMemory: memory.get("Shmem") ?? 0,
    availableMemory: memory.get("MemAvailable") ?? 0,
    callerMemory: Math.round(Deno.memoryUsage().rss / 1024),
  };
}

/** Two counts and their difference, a line each. */
export function compareCensuses(before: Census, after: Census): string {
  const row = (cells: unknown[]) =>
    cells.map((it, i) => i === 0 ? String(it).padEnd(18) : String(it).padStart(12)).join("");
  const names = Object.keys(before) as (keyof Census)[];
  return [
    row(["", "before", "after", "difference"]),
    ...names.map((it) => row([it, before[it], after[it], after[it] - before[it]])),
  ].join("\n");
}

/** Numbers of /proc/meminfo in KiB, see proc_meminfo(5). */
function readMemory(): Map<string, number> {
  const lines = Deno.readTextFileSync("/proc/meminfo").split("\n");
  return new Map(lines.map((it) => {
    const [name = "", value = ""] = it.split(":");
    return [name, parseInt(value)];
  }));
}

function lineCount(path: string): number {
  return Deno.readTextFileSync(path).split("\n").length - 1;
}

function countDirectories(directory: string): number {
  let count = 0;
  try {
    for (const { name, isDirectory } of Deno.readDirSync(directory)) {
      if (isDirectory) count += 1 + countDirectories(`${directory}/${name}`);
    }
  } catch { /* removed meanwhile */ }
  return count;
}
