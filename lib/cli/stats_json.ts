import type { BlockIOCount, Counter, MemoryCounter, Stats } from "../cgroups/stats_types.ts";

/**
 * Statistics under the names that `runc events` gives them, on one line.
 *
 * @see https://github.com/opencontainers/runc/blob/v1.2.0/types/events.go
 */
export function formatEvent(id: string, event: { type: "oom" } | { type: "stats"; stats: Stats }) {
  const data = event.type === "stats" ? { data: statistics(event.stats) } : {};
  return JSON.stringify({ type: event.type, id, ...data }, exactly) + "\n";
}

function statistics({ cpu, memory, pids, blockIO, hugetlb }: Stats) {
  return {
    cpu: {
      usage: {
        total: cpu.total,
        ...(cpu.perCpu.length === 0 ? {} : { percpu: cpu.perCpu }),
        kernel: cpu.kernel,
        user: cpu.user,
      },
      throttling: {
        periods: cpu.periods,
        throttledPeriods: cpu.throttledPeriods,
        throttledTime: cpu.throttledTime,
      },
    },
    memory: {
      cache: memory.cache,
      usage: memoryEntry(memory),
      swap: memoryEntry(memory.swap),
      ...(memory.kernel === undefined ? {} : { kernel: memoryEntry(memory.kernel) }),
      ...(memory.kernelTcp === undefined ? {} : { kernelTCP: memoryEntry(memory.kernelTcp) }),
      raw: memory.raw,
    },
    pids: { current: pids.current, limit: pids.limit },
    blkio: {
      ioServiceBytesRecursive: blockIO.bytes.map(blockIOEntry),
      ioServicedRecursive: blockIO.operations.map(blockIOEntry),
    },
    hugetlb: Object.fromEntries(
      Object.entries(hugetlb).map(([size, counter]) => [size, hugetlbEntry(counter)]),
    ),
  };
}

function memoryEntry({ limit, usage, peak, failures }: MemoryCounter) {
  return { limit, usage, max: peak, failcnt: failures };
}

function hugetlbEntry({ usage, peak, failures }: Counter) {
  return { usage, max: peak, failcnt: failures };
}

function blockIOEntry({ major, minor, operation, count }: BlockIOCount) {
  return { major, minor, op: operation, value: count };
}

/** A double cannot hold "no limit", and rounding it up leaves the 64 bits that it is read into. */
function exactly(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? rawJson(value.toString()) : value;
}

// In V8 since 11.4, not in TypeScript's library yet.
const { rawJSON: rawJson } = JSON as unknown as { rawJSON(text: string): unknown };
