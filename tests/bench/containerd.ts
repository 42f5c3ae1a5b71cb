/**
 * What callers of containerd wait for: `ctr run --rm` of a guest that exits at once (the monitor is the
 * test double), with a shim for each container and with one for all, and of `true` by runc.
 */
import { GUEST, ORDINARY, startWithDouble } from "../e2e/containerd/_common.ts";
import type { Scope } from "../support/scope.ts";
import { measure, type Measurement, rowOf } from "./measure.ts";
import type { Row } from "./table.ts";

/** By then whatever ended before has been cleared away, by containerd and by the kernel. */
const SETTLE = "sleep 0.15";

const OPERATION = "ctr run --rm";

/** Measures it. */
export async function benchContainerd(scope: Scope, rounds: number): Promise<Row> {
  // Two daemons: the operator's configuration says what is grouped.
  const byContainer = await startWithDouble(scope);
  const byNamespace = await startWithDouble(scope, {}, 'shim_group = "namespace"');
  const of = (subject: string, command: string[]): Measurement => ({
    operation: OPERATION,
    subject,
    prepare: SETTLE,
    command: command.join(" "),
    conclude: "true",
  });
  const runc = ["--rm", "--runtime=io.containerd.runc.v2"];
  const measurements = [
    of("a shim per container", byContainer.ctrRunCommand(["--rm"], GUEST, "b", ["exit", "0"])),
    of("one for all", byNamespace.ctrRunCommand(["--rm"], GUEST, "b", ["exit", "0"])),
    of("runc", byContainer.ctrRunCommand(runc, ORDINARY, "b", ["/bin/busybox", "true"])),
  ];
  // Of each a run that is not counted: what is read from the disk then is in memory after.
  await measure(scope, measurements, 1);
  const summaries = await measure(scope, measurements, rounds);
  const wanted = [
    { subject: "a shim per container", base: "runc", atMost: 0.85 },
    { subject: "one for all", base: "runc", atMost: 0.55 },
  ];
  return rowOf({ name: OPERATION, unit: "ms", bases: ["runc"], wanted }, measurements, summaries);
}
