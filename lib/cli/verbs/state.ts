import { isOnSerialLine } from "../../container/console.ts";
import { monitorPid } from "../../container/monitor_process.ts";
import { type Observation, observeContainer } from "../../container/observe.ts";
import { withoutState } from "../../container/require.ts";
import { AGENT_ANNOTATION, MONITOR_PID_ANNOTATION, ociState } from "../../container/state.ts";
import { isAlive } from "../../os/alive.ts";
import type { State } from "../../oci/state.ts";
import type { CommandOf } from "../parser/commands.ts";
import type { Context } from "../context.ts";
import { printJson } from "../../output.ts";

/** `urunc state` */
export function formatState(command: CommandOf<"state">, context: Context): number {
  const directory = context.store.open(command.id);
  const observation = observeContainer(directory);
  if (observation === undefined) throw withoutState(directory);
  // The specification's properties, and those that runc adds.
  const { rootfs, created } = observation.state;
  const printed = withMonitor(observation);
  const annotations = observation.state.stop?.agent && isOnSerialLine(directory)
    ? { ...printed.annotations, [AGENT_ANNOTATION]: "serial" }
    : printed.annotations;
  printJson({ ...printed, annotations, rootfs, created });
  return 0;
}

function withMonitor({ state, status }: Observation): State {
  const printed = ociState(state, status);
  const pid = ["created", "running", "paused"].includes(status) ? monitorPid(state) : undefined;
  if (pid === undefined || pid === state.pid) return printed;
  // The monitor has outlived the waiter, whose number may be another process's by now.
  if (!isAlive(state.pid, state.pidStartTime)) return { ...printed, pid };
  const annotations = { ...printed.annotations, [MONITOR_PID_ANNOTATION]: String(pid) };
  return { ...printed, annotations };
}
