import { close, pollAsync, POLLIN } from "../../ffi/linux.ts";
import { readOomKills, readStats } from "../cgroups/stats.ts";
import type { Stats } from "../cgroups/stats_types.ts";
import { openProcess } from "./kill.ts";
import type { ContainerState } from "./state.ts";
import { requireCounting } from "./stats.ts";

/** What happens to a container while it runs. */
export type ContainerEvent = { type: "stats"; stats: Stats } | { type: "oom" };

/** How long an OOM kill may take to be reported. */
const OOM_MILLISECONDS = 500;

/**
 * Reports a container's events until its process exits: its statistics at an interval, and every
 * OOM kill, even if that ended it.
 *
 * @param intervalMilliseconds between statistics
 * @throws WrongStateError when it has ended already
 */
export async function watchContainer(
  state: ContainerState,
  intervalMilliseconds: number,
  report: (event: ContainerEvent) => void,
): Promise<void> {
  const plan = requireCounting(state);
  const pidfd = openProcess(state);
  if (pidfd === undefined) return;
  try {
    let kills = readOomKills(plan) ?? 0n;
    let next = performance.now() + intervalMilliseconds;
    for (;;) {
      const wait = Math.min(next - performance.now(), OOM_MILLISECONDS);
      const [ended] = await pollAsync([{ fd: pidfd, events: POLLIN }], Math.max(wait, 0));
      const now = readOomKills(plan) ?? kills;
      for (; kills < now; kills++) report({ type: "oom" });
      if (ended !== 0) return;
      if (performance.now() < next) continue;
      report({ type: "stats", stats: readStats(plan) });
      next += intervalMilliseconds;
    }
  } finally {
    close(pidfd);
  }
}
