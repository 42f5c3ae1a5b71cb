import type { InitMessage, Report } from "../launch/channel.ts";
import { describeStep } from "../plan/describe.ts";
import type { LaunchPlan } from "../plan/types.ts";
import { debug, remind } from "../watch.ts";

/** Writes what an init that is watched does, into its creator's log: a line for each step. */
export class InitLog {
  readonly #id: string;
  #plan: LaunchPlan | undefined;
  #next = 0;
  #stop = () => {};

  /** @param id the container's */
  constructor(id: string) {
    this.#id = id;
  }

  /** It was sent a plan. */
  begin(plan: LaunchPlan): void {
    this.#plan = plan;
    this.#next = 0;
    this.#remind();
  }

  take(report: Report): void {
    if (report.type === "note") return debug(report.message, { ...report.fields, id: this.#id });
    const { index, ms } = report;
    debug(this.#title(index), { ms, id: this.#id });
    this.#next = index + 1;
    this.#remind();
  }

  /**
   * It has answered. At the barrier that step has begun, and all before it is done.
   *
   * @param type of the message; undefined: it is gone
   */
  answered(type: InitMessage["type"] | undefined): void {
    if (type === "barrier") debug(this.#title(this.#next), { id: this.#id });
    if (type !== "releaseRootfs") this.#stop();
  }

  #remind(): void {
    this.#stop();
    const index = this.#next;
    this.#stop = index < this.#plan!.steps.length
      ? remind(() => this.#title(index), { id: this.#id })
      : () => {};
  }

  #title(index: number): string {
    const { phase, steps } = this.#plan!;
    return `${phase} step ${index} ${describeStep(steps[index]!)}`;
  }
}
