/** Memory of processes: the proportional set size, which counts what n processes share as 1/n for each. */

/** The sum of these processes' PSS. KiB; proc_pid_smaps(5). */
export function pssOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const text = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
    return sum + Number(/^Pss:\s+(\d+)/m.exec(text)![1]);
  }, 0);
}
