import assert from "node:assert/strict";
import { formatTimeline, formatTrace } from "../../../lib/cli/timeline.ts";
import type { Timeline } from "../../../lib/container/timeline.ts";

const TIMELINE: Timeline = {
  create: {
    pid: 10,
    began: 1_700_000_000_000.5,
    phases: [["boot", 10], ["plan", 12], ["namespaces", 15], ["launch", 20]],
  },
  init: {
    namespaces: {
      pid: 11,
      began: 1_700_000_000_013,
      phases: [["unshare", 1.5], ["hostname", 1.6]],
    },
    launch: {
      pid: 11,
      began: 1_700_000_000_016,
      phases: [["mountRoot", 3], ["symlink", 3.01], ["mkdir", 3.02]],
    },
  },
  start: { pid: 12, began: 1_700_000_000_040.5, phases: [["exec", 4], ["prove identity", 5]] },
};

Deno.test("a timeline as a table: phases add up, small steps are one line", () => {
  assert.equal(
    formatTimeline(TIMELINE),
    `PHASE              MS      SHARE
create             20.00   80 %
  boot             10.00   40 %
  plan             2.00    8 %
  namespaces       3.00    12 %
    unshare        1.50    6 %
    1 more         0.10    0 %
  launch           5.00    20 %
    mountRoot      3.00    12 %
    2 more         0.02    0 %
start              5.00    20 %
  exec             4.00    16 %
  prove identity   1.00    4 %
together           25.00   100 %
`,
  );
});

Deno.test("a timeline of a container that is not started", () => {
  const { create, init } = TIMELINE;
  const text = formatTimeline({ create, init });
  assert.doesNotMatch(text, /^start/m);
  assert.match(text, /^together +20\.00 +100 %$/m);
  assert.equal(formatTrace("web", { create, init: {} }).traceEvents.length, 6);
});

Deno.test("a timeline as a trace: a track for each process, in microseconds", () => {
  const { traceEvents } = formatTrace("web", TIMELINE);
  const events = traceEvents.flatMap((it) =>
    it.ph === "X" ? [[it.pid, it.cat, it.name, it.ts, it.dur]] : []
  );
  assert.deepEqual(events, [
    [10, "create", "create", 0, 20_000],
    [10, "create", "boot", 0, 10_000],
    [10, "create", "plan", 10_000, 2000],
    [10, "create", "namespaces", 12_000, 3000],
    [10, "create", "launch", 15_000, 5000],
    [11, "namespaces", "namespaces", 12_500, 1600],
    [11, "namespaces", "unshare", 12_500, 1500],
    [11, "namespaces", "hostname", 14_000, 100],
    [11, "launch", "launch", 15_500, 3020],
    [11, "launch", "mountRoot", 15_500, 3000],
    [11, "launch", "symlink", 18_500, 10],
    [11, "launch", "mkdir", 18_510, 10],
    [12, "start", "start", 40_000, 5000],
    [12, "start", "exec", 40_000, 4000],
    [12, "start", "prove identity", 44_000, 1000],
  ]);
  const names = traceEvents.flatMap((it) => it.ph === "M" ? [it.args.name] : []);
  assert.deepEqual(names, ["create web", "init of web", "init of web", "start web"]);
});
