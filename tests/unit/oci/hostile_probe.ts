/** Run by hostile_test.ts: decodes one document and tells what came of it, as JSON. */
import { decodeSpec } from "../../../lib/oci/parse.ts";

const source = new Function(`return ${Deno.args[0]}`)() as string | Uint8Array;
const bytes = typeof source === "string" ? new TextEncoder().encode(source) : source;
const given = bytes.byteLength / 1e6;
const start = processorMilliseconds();
let message = "accepted";
try {
  decodeSpec(bytes as Uint8Array);
} catch (error) {
  message = String(error);
}
const milliseconds = processorMilliseconds() - start;
// The document itself is the caller's; one that is too large need never be read whole.
const megabytes = peakMegabytes() - given;
console.log(JSON.stringify({ message, milliseconds, megabytes }));

/** VmHWM: the most memory this process ever had resident (proc_pid_status(5)), in MB. */
function peakMegabytes(): number {
  const status = Deno.readTextFileSync("/proc/self/status");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)![1]) * 1024 / 1e6;
}

/**
 * What this thread has had of a processor, which is what decoding takes of it however many others
 * want one at the same time (proc_pid_schedstat(5): nanoseconds).
 */
function processorMilliseconds(): number {
  return Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ")[0]) / 1e6;
}
