import { close, O_WRONLY, open, tryWriteAsync } from "../../ffi/linux.ts";

/** Of cgroup2 alone; else hierarchies of v1 are below it, and cgroup2 as one of them. */
const MOUNT_POINT = "/sys/fs/cgroup";

/**
 * Starts the wait that a process's move to another cgroup involves, before that cgroup exists.
 *
 * The first move in a while waits until every processor has passed through a quiet state (a grace
 * period of RCU, taken by cgroup_threadgroup_rwsem, kernel/cgroup/cgroup.c): 5 to 20 ms. Those that come
 * soon after do not. So the process is moved to where it already is, in another thread, while this one
 * reads the host. It is a hint: what fails here fails again, and is reported, when the process is moved for real.
 *
 * @param pid a child that is still in the caller's own cgroup; move it for real only after the promise
 * @returns never rejects
 */
export async function prepareMove(pid: number): Promise<void> {
  try {
    const fd = openFirst(ownFiles(Deno.readTextFileSync("/proc/self/cgroup")));
    if (fd === undefined) return;
    try {
      // Deno's own writes are ready for use only after some milliseconds.
      await tryWriteAsync(fd, new TextEncoder().encode(String(pid)));
    } finally {
      close(fd);
    }
  } catch {
    // See above.
  }
}

/**
 * Where the caller's own cgroup may be written to. All hierarchies share the lock: that of `pids` is tried where
 * cgroup2 is mounted nowhere.
 *
 * @param text of /proc/self/cgroup, `ID:CONTROLLERS:PATH`; the one of cgroup2 is 0 and has none: cgroups(7)
 */
function ownFiles(text: string): string[] {
  const filesIn = (controller: string, mountPoints: string[]) => {
    const path = new RegExp(`^\\d+:${controller}:(/.*)$`, "m").exec(text)?.[1];
    if (path === undefined || path.includes("..")) return [];
    return mountPoints.map((mountPoint) => `${mountPoint}${path}/cgroup.procs`);
  };
  return [
    ...filesIn("", [MOUNT_POINT, `${MOUNT_POINT}/unified`]),
    ...filesIn("pids", [`${MOUNT_POINT}/pids`]),
  ];
}

function openFirst(files: string[]): number | undefined {
  for (const file of files) {
    try {
      return open(file, O_WRONLY);
    } catch {
      // It is not mounted there.
    }
  }
}
