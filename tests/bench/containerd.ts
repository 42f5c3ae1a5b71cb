/**
 * What whoever calls containerd waits for: `ctr run --rm` of a guest that exits at once (the monitor
 * is the test double), with a shim for each container and with one for all, and of `true` by runc.
 */
import { GUEST, ORDINARY, startWithDouble } from "../e2e/containerd/_common.ts";
import type { Scope } from "../support/scope.ts";
import { measure, type Measurement } from "./measure.ts";

/** By then whatever ended before has been cleared away, by containerd and by the kernel. */
const SETTLE = "sleep 0.15";

/** Measures, and prints it. */
export async function benchContainerd(scope: Scope, rounds: number): Promise<void> {
  // Two daemons: the operator's configuration says what is grouped.
  const byContainer = await startWithDouble(scope);
  const byNamespace = await startWithDouble(scope, {}, 'shim_group = "namespace"');
  const of = (subject: string, command: string[]): Measurement => ({
    operation: "ctr run --rm",
    subject,
    prepare: SETTLE,
    command: command.join(" "),
    conclude: "true",
  });
  const runc = ["--rm", "--runtime=io.containerd.runc.v2"];
  const measurements = [
    of("runc", byContainer.ctrRunCommand(runc, ORDINARY, "b", ["/bin/busybox", "true"])),
    of("a shim per container", byContainer.ctrRunCommand(["--rm"], GUEST, "b", ["exit", "0"])),
    of("one for all", byNamespace.ctrRunCommand(["--rm"], GUEST, "b", ["exit", "0"])),
  ];
  // Of each one that nobody waits for: what is read from the disk then is in memory after.
  await measure(scope, measurements, 1);
  const summaries = await measure(scope, measurements, rounds);

  console.log(`\nctr run --rm, ${rounds} interleaved rounds; milliseconds`);
  console.log("                           min  median    mean     p95   median / runc");
  const base = summaries[0]!.median;
  measurements.forEach(({ subject }, index) => {
    const { minimum, median, mean, p95 } = summaries[index]!;
    const columns = [minimum, median, mean, p95].map((it) => it.toFixed(1).padStart(8));
    console.log(subject.padEnd(22) + columns.join("") + (median / base).toFixed(2).padStart(16));
  });
}
