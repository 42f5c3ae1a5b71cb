import { watchContainer } from "../../container/events.ts";
import { requireState } from "../../container/require.ts";
import { containerStats } from "../../container/stats.ts";
import type { ContainerState } from "../../container/state.ts";
import type { Timeline } from "../../container/timeline.ts";
import { UsageError, WrongStateError } from "../../errors.ts";
import type { CommandOf } from "../parser/commands.ts";
import type { Context } from "../context.ts";
import { print, printJson } from "../../output.ts";
import { formatEvent } from "../stats_json.ts";
import { formatTimeline, formatTrace } from "../timeline.ts";

/** `urunc events`: a line of JSON for each event, until the container ends; or its timeline. */
export async function events(command: CommandOf<"events">, context: Context): Promise<number> {
  const interval = parseDuration(command.interval);
  const state = requireState(context.store.open(command.id));
  if (command.timeline) {
    const timeline = requireTimeline(state);
    if (command.format === "trace") printJson(formatTrace(state.id, timeline));
    else print(formatTimeline(timeline));
    return 0;
  }
  if (command.stats) {
    print(formatEvent(state.id, { type: "stats", stats: containerStats(state) }));
    return 0;
  }
  await watchContainer(state, interval, (event) => print(formatEvent(state.id, event)));
  return 0;
}

/** @throws WrongStateError */
function requireTimeline({ id, timeline }: ContainerState): Timeline {
  if (timeline !== undefined) return timeline;
  throw new WrongStateError({
    operation: "print timeline",
    subject: id,
    reason: "it has none: it is still being created, or an older urunc has created it",
  });
}

const MILLISECONDS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** As Go writes durations, which callers do: `5s`, `1m30s`. Milliseconds. */
function parseDuration(text: string): number {
  const parts = [...text.matchAll(/(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)/g)];
  const milliseconds = parts.reduce(
    (sum, [, number, unit]) => sum + Number(number) * MILLISECONDS[unit!]!,
    0,
  );
  if (milliseconds > 0 && parts.map(([part]) => part).join("") === text) return milliseconds;
  throw new UsageError({
    operation: "parse command line",
    subject: "--interval",
    reason: `${JSON.stringify(text)} is not a duration above 0`,
    remedy: "such as 5s, 500ms or 1m30s",
  });
}
