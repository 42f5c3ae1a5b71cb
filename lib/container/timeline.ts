import type { StepTimes } from "../launch/observer.ts";
import type { LaunchPlan } from "../plan/types.ts";
import { debug, isWatched, roundTo2 } from "../watch.ts";

/** What a process did for a container, phase by phase. */
export interface Course {
  pid: number;
  /** Milliseconds since 1970, with fractions. */
  began: number;
  /** Each one's name, and milliseconds from `began` to its end. */
  phases: [name: string, end: number][];
}

/** Where the time of a container's start went. It is kept in its state. */
export interface Timeline {
  create: Course;
  /** Its process, from the first step on: the steps of both plans, one after the other. */
  init: { namespaces?: Course; launch?: Course };
  start?: Course;
}

/** Notes when the phases of one command end. */
export class Stopwatch {
  readonly course: Course;
  readonly #began: number;
  readonly #title: string;
  readonly #id: string;
  #last = 0;

  /**
   * @param title of the command, for the log
   * @param id the container's
   * @param boot milliseconds before now at which the process began, if the command is all that it does
   */
  constructor(title: string, id: string, boot = 0) {
    this.#title = title;
    this.#id = id;
    this.#began = performance.now() - boot;
    const began = microseconds(performance.timeOrigin + this.#began);
    this.course = { pid: Deno.pid, began, phases: [] };
    if (boot > 0) this.did("boot");
  }

  /** A phase has ended, and the next begins. */
  did(name: string): void {
    const end = performance.now() - this.#began;
    this.course.phases.push([name, microseconds(end)]);
    if (isWatched()) {
      debug(`${this.#title}: ${name}`, { ms: roundTo2(end - this.#last), id: this.#id });
    }
    this.#last = end;
  }
}

/** Milliseconds, as precise as they are worth keeping. */
function microseconds(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}

/**
 * How long this process has been there. Most of it is before any of this program runs, which no clock of
 * its own has seen: but it does not sleep then, so that it is what the main thread ran, and waited to run.
 *
 * @returns milliseconds; at least since Deno's own clock began, where the kernel keeps no such accounts
 * @see proc_pid_schedstat, Documentation/scheduler/sched-stats.rst
 */
export function processAge(): number {
  const now = performance.now();
  try {
    const [ran, waited] = Deno.readTextFileSync("/proc/self/schedstat").split(" ");
    return Math.max(now, (Number(ran) + Number(waited)) / 1e6);
  } catch {
    return now;
  }
}

/** A plan that a process has performed. */
export function courseOf(pid: number, plan: LaunchPlan, { began, ends }: StepTimes): Course {
  const phases = ends.map((end, index): [string, number] => [
    plan.steps[index]!.step,
    microseconds(end),
  ]);
  return { pid, began: microseconds(began), phases };
}
