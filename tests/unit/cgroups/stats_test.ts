import assert from "node:assert/strict";
import { formatEvent } from "../../../lib/cli/stats_json.ts";
import type { StatFiles, Stats } from "../../../lib/cgroups/stats_types.ts";
import {
  readHugetlbV1,
  readHugetlbV2,
  readStatsV1,
  readStatsV2,
} from "../../../lib/cgroups/stats_files.ts";

function files(texts: Record<string, string>): StatFiles {
  return {
    read: (file) => texts[file],
    names: (controller) => Object.keys(texts).filter((name) => name.startsWith(`${controller}.`)),
  };
}

const NONE = { usage: 0n, limit: 0n, peak: 0n, failures: 0n };

const NOTHING: Omit<Stats, "hugetlb"> = {
  cpu: {
    total: 0n,
    user: 0n,
    kernel: 0n,
    perCpu: [],
    periods: 0n,
    throttledPeriods: 0n,
    throttledTime: 0n,
  },
  memory: {
    ...NONE,
    swap: NONE,
    kernel: NONE,
    kernelTcp: NONE,
    cache: 0n,
    oomKills: 0n,
    raw: {},
  },
  pids: { current: 0n, limit: 0n },
  blockIO: { bytes: [], operations: [] },
};

Deno.test("what a host does not count is 0", () => {
  assert.deepEqual(readStatsV1(files({})), NOTHING);
  const { kernel: _, kernelTcp: __, ...memory } = NOTHING.memory;
  assert.deepEqual(readStatsV2(files({})), { ...NOTHING, memory });
  assert.deepEqual(readHugetlbV1(files({})), {});
  assert.deepEqual(readHugetlbV2(files({})), {});
});

// As a Linux 6.18 prints them.
const V1 = {
  "cpuacct.usage": "9007199254740993\n",
  "cpuacct.usage_percpu": "5307162 3447770 \n",
  "cpuacct.stat": "user 12\nsystem 3\n",
  "cpu.stat":
    "nr_periods 10\nnr_throttled 4\nthrottled_time 5000\nwait_sum 7\nnr_bursts 0\nburst_time 0\n",
  "memory.usage_in_bytes": "53248000\n",
  "memory.limit_in_bytes": "9223372036854771712\n",
  "memory.max_usage_in_bytes": "60000000\n",
  "memory.failcnt": "2\n",
  "memory.memsw.usage_in_bytes": "53248001\n",
  "memory.memsw.limit_in_bytes": "134217728\n",
  "memory.memsw.max_usage_in_bytes": "60000001\n",
  "memory.memsw.failcnt": "0\n",
  "memory.kmem.usage_in_bytes": "258048\n",
  "memory.stat": "cache 12288\nrss 52428800\nhierarchical_memory_limit 9223372036854771712\n",
  "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
  "pids.current": "5\n",
  "pids.max": "max\n",
  "blkio.bfq.io_service_bytes_recursive": "Total 0\n",
  "blkio.throttle.io_service_bytes_recursive":
    "254:0 Read 4096\n254:0 Write 0\n254:0 Sync 4096\n254:0 Total 4096\nTotal 4096\n",
  "blkio.throttle.io_serviced_recursive": "254:0 Read 1\nTotal 1\n",
  "hugetlb.2MB.usage_in_bytes": "2097152\n",
  "hugetlb.2MB.rsvd.usage_in_bytes": "4194304\n",
  "hugetlb.2MB.max_usage_in_bytes": "6291456\n",
  "hugetlb.2MB.failcnt": "1\n",
};

Deno.test("cgroup v1 statistics", () => {
  const stats = readStatsV1(files(V1));
  const device = { major: 254n, minor: 0n };
  assert.deepEqual(stats, {
    cpu: {
      total: 9_007_199_254_740_993n,
      user: 120_000_000n,
      kernel: 30_000_000n,
      perCpu: [5_307_162n, 3_447_770n],
      periods: 10n,
      throttledPeriods: 4n,
      throttledTime: 5000n,
    },
    memory: {
      usage: 53_248_000n,
      limit: 9_223_372_036_854_771_712n,
      peak: 60_000_000n,
      failures: 2n,
      swap: { usage: 53_248_001n, limit: 134_217_728n, peak: 60_000_001n, failures: 0n },
      kernel: { ...NONE, usage: 258_048n },
      kernelTcp: NONE,
      cache: 12_288n,
      oomKills: 3n,
      raw: {
        cache: 12_288n,
        rss: 52_428_800n,
        hierarchical_memory_limit: 9_223_372_036_854_771_712n,
      },
    },
    pids: { current: 5n, limit: 0n },
    blockIO: {
      bytes: [
        { ...device, operation: "Read", count: 4096n },
        { ...device, operation: "Write", count: 0n },
        { ...device, operation: "Sync", count: 4096n },
        { ...device, operation: "Total", count: 4096n },
      ],
      operations: [{ ...device, operation: "Read", count: 1n }],
    },
  });
  assert.deepEqual(readHugetlbV1(files(V1)), {
    "2MB": { usage: 2_097_152n, peak: 6_291_456n, failures: 1n },
  });
  const bfq = files({ ...V1, "blkio.bfq.io_service_bytes_recursive": "8:0 Read 7\nTotal 7\n" });
  assert.deepEqual(readStatsV1(bfq).blockIO.bytes, [
    { major: 8n, minor: 0n, operation: "Read", count: 7n },
  ]);
});

const V2 = {
  "cpu.stat": "usage_usec 1000\nuser_usec 700\nsystem_usec 300\nnice_usec 0\n" +
    "nr_periods 2\nnr_throttled 1\nthrottled_usec 50\nnr_bursts 0\nburst_usec 0\n",
  "memory.current": "1000\n",
  "memory.max": "5000\n",
  "memory.peak": "1200\n",
  "memory.swap.current": "24\n",
  "memory.swap.max": "100\n",
  "memory.swap.events": "high 0\nmax 6\nfail 6\n",
  "memory.stat": "anon 600\nfile 400\nkernel 10\n",
  "memory.events": "low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n",
  "pids.current": "3\n",
  "pids.max": "100\n",
  "io.stat": "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n7:0 \n",
  "hugetlb.2MB.current": "2097152\n",
  "hugetlb.2MB.rsvd.current": "0\n",
  "hugetlb.2MB.events": "max 4\n",
  "hugetlb.1GB.current": "0\n",
};

Deno.test("cgroup v2 statistics, with swap counted as v1 does", () => {
  const device = { major: 254n, minor: 0n };
  assert.deepEqual(readStatsV2(files(V2)), {
    cpu: {
      total: 1_000_000n,
      user: 700_000n,
      kernel: 300_000n,
      perCpu: [],
      periods: 2n,
      throttledPeriods: 1n,
      throttledTime: 50_000n,
    },
    memory: {
      usage: 1000n,
      limit: 5000n,
      peak: 1200n,
      failures: 9n,
      swap: { usage: 1024n, limit: 5100n, peak: 0n, failures: 6n },
      cache: 400n,
      oomKills: 1n,
      raw: { anon: 600n, file: 400n, kernel: 10n },
    },
    pids: { current: 3n, limit: 100n },
    blockIO: {
      bytes: [
        { ...device, operation: "Read", count: 4096n },
        { ...device, operation: "Write", count: 8192n },
        { ...device, operation: "Discard", count: 0n },
      ],
      operations: [
        { ...device, operation: "Read", count: 1n },
        { ...device, operation: "Write", count: 2n },
        { ...device, operation: "Discard", count: 0n },
      ],
    },
  });
  assert.deepEqual(readHugetlbV2(files(V2)), {
    "1GB": { usage: 0n, peak: 0n, failures: 0n },
    "2MB": { usage: 2_097_152n, peak: 0n, failures: 4n },
  });
});

Deno.test("no limit in v2 is the greatest number of 64 bits", () => {
  const { memory } = readStatsV2(files({ ...V2, "memory.max": "max\n" }));
  assert.equal(memory.limit, 2n ** 64n - 1n);
  assert.equal(memory.swap.limit, 2n ** 64n - 1n);
});

Deno.test("events are printed under runc's names, every number to its last digit", () => {
  const stats = { ...readStatsV1(files(V1)), hugetlb: readHugetlbV1(files(V1)) };
  const line = formatEvent("one", { type: "stats", stats });
  assert.ok(line.endsWith("}\n") && !line.slice(0, -1).includes("\n"));
  for (const exact of ['"total":9007199254740993,', '"limit":9223372036854771712,']) {
    assert.ok(line.includes(exact), line);
  }
  const { type, id, data } = JSON.parse(line);
  assert.deepEqual({ type, id }, { type: "stats", id: "one" });
  assert.deepEqual(data.cpu.throttling, { periods: 10, throttledPeriods: 4, throttledTime: 5000 });
  assert.deepEqual(data.memory.swap, {
    limit: 134_217_728,
    usage: 53_248_001,
    max: 60_000_001,
    failcnt: 0,
  });
  assert.deepEqual(data.pids, { current: 5, limit: 0 });
  assert.deepEqual(data.blkio.ioServicedRecursive, [
    { major: 254, minor: 0, op: "Read", value: 1 },
  ]);
  assert.deepEqual(data.hugetlb, { "2MB": { usage: 2097152, max: 6291456, failcnt: 1 } });
  assert.equal(formatEvent("one", { type: "oom" }), '{"type":"oom","id":"one"}\n');
});
