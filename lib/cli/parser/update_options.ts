import type { OptionSpecs } from "./options.ts";

/** Options of `update`: runc's. */
export const updateOptions = {
  resources: {
    kind: "text",
    names: ["-r", "--resources"],
    metavar: "FILE",
    help: "Limits as JSON, as linux.resources of config.json; - is standard input.",
  },
  memory: limit("--memory", "BYTES", "Memory limit; such as 512m; -1 for unlimited."),
  memoryReservation: limit("--memory-reservation", "BYTES", "Soft memory limit."),
  memorySwap: limit("--memory-swap", "BYTES", "Limit of memory and swap together."),
  cpuShares: {
    kind: "text",
    names: ["--cpu-share", "--cpu-shares"],
    metavar: "N",
    help: "Processor time relative to others.",
  },
  cpuPeriod: limit("--cpu-period", "US", "Period of the quota, in microseconds."),
  cpuQuota: limit("--cpu-quota", "US", "Processor time in each period; -1 for unlimited."),
  cpuBurst: limit("--cpu-burst", "US", "Processor time that may be saved up."),
  cpuIdle: limit("--cpu-idle", "0|1", "Run only when the processor is otherwise idle."),
  cpusetCpus: limit("--cpuset-cpus", "LIST", "Processors that may be used."),
  cpusetMems: limit("--cpuset-mems", "LIST", "Memory nodes that may be used."),
  pidsLimit: limit("--pids-limit", "N", "Processes and threads; -1 for unlimited."),
  blkioWeight: limit("--blkio-weight", "N", "Weight of input and output, 10 to 1000."),
  cpuRtPeriod: limit("--cpu-rt-period", "US", "Refused: a monitor has no real-time threads."),
  cpuRtRuntime: limit("--cpu-rt-runtime", "US", "Refused: a monitor has no real-time threads."),
  kernelMemory: limit("--kernel-memory", "BYTES", "Refused, unless -1: kernels have no limit."),
  kernelMemoryTcp: limit("--kernel-memory-tcp", "BYTES", "Refused, unless -1, too."),
  l3CacheSchema: limit("--l3-cache-schema", "TEXT", "Refused: Intel RDT is not supported."),
  memBwSchema: limit("--mem-bw-schema", "TEXT", "Refused: Intel RDT is not supported."),
} as const satisfies OptionSpecs;

/** An option whose text is read later. */
interface TextOption {
  kind: "text";
  names: string[];
  metavar: string;
  help: string;
}

function limit(name: string, metavar: string, help: string): TextOption {
  return { kind: "text", names: [name], metavar, help };
}
