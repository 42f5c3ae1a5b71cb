import { close, O_WRONLY, open, tryWriteAsync } from "../../ffi/linux.ts";

/** Where cgroup2 is mounted, alone or beside the hierarchies of v1. */
const MOUNT_POINTS = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

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
    // cgroups(7), /proc/PID/cgroup: hierarchy 0 is cgroup2.
    const own = /^0::(\/.*)$/m.exec(Deno.readTextFileSync("/proc/self/cgroup"))?.[1];
    if (own === undefined || own.includes("..")) return;
    const files = MOUNT_POINTS.map((mountPoint) => `${mountPoint}${own}/cgroup.procs`);
    const text = new TextEncoder().encode(String(pid));
    await Promise.allSettled(files.map((file) => writeTo(file, text)));
  } catch {
    // See above.
  }
}

/** Deno's own writes are ready for use only after some milliseconds. */
async function writeTo(file: string, bytes: Uint8Array): Promise<void> {
  const fd = open(file, O_WRONLY);
  try {
    await tryWriteAsync(fd, bytes);
  } finally {
    close(fd);
  }
}
