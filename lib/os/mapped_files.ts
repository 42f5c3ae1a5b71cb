import { unmapFilePages } from "../../ffi/linux.ts";

/** A mapping of a file that is private, and that nothing writes to. proc_pid_maps(5) */
const READ_ONLY = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p [0-9a-f]+ [0-9a-f:]+ [1-9]/;

/** None of its pages has been written to before, as relocations are. proc_pid_smaps(5) */
const UNWRITTEN = /^Anonymous: +0 kB$/m;

/**
 * Has the kernel forget which pages of the executable and its libraries this process has used: text, constants, V8's
 * snapshot. They stay in the page cache, as those of any file that was read do: what is used again is mapped again,
 * and what is not is memory for others.
 */
export function forgetFilePages(): void {
  const mappings = Deno.readTextFileSync("/proc/self/smaps").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  for (const mapping of mappings) {
    const range = READ_ONLY.exec(mapping);
    if (range === null || !UNWRITTEN.test(mapping)) continue;
    const [begin, end] = [BigInt(`0x${range[1]}`), BigInt(`0x${range[2]}`)];
    unmapFilePages(begin, Number(end - begin));
  }
}
