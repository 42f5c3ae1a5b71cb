import type { Course, Timeline } from "../container/timeline.ts";
import { formatTable } from "./table.ts";

/** A step that takes less of the whole is not a line of its own. */
const SMALLEST_SHARE = 0.01;

/** Phases of `create` during which init performs a plan. */
const PLANS: Record<string, keyof Timeline["init"]> = {
  namespaces: "namespaces",
  launch: "launch",
};

/** A part of a course: when it began and how long it took, in milliseconds from the course's begin. */
interface Part {
  name: string;
  began: number;
  took: number;
}

type Row = [name: string, milliseconds: number];

/**
 * Where the time of a container's start went, for a person. Phases of a command add up to it; steps of
 * init are shown below the phase in which the command waits for them.
 */
export function formatTimeline(timeline: Timeline): string {
  const { create, start } = timeline;
  const whole = lengthOf(create) + (start === undefined ? 0 : lengthOf(start));
  const rows: Row[] = [
    ["create", lengthOf(create)],
    ...partsOf(create).flatMap((part) => [
      [`  ${part.name}`, part.took] as Row,
      ...stepRows(timeline, part.name, whole),
    ]),
  ];
  if (start !== undefined) {
    rows.push(["start", lengthOf(start)]);
    rows.push(...partsOf(start).map(({ name, took }): Row => [`  ${name}`, took]));
  }
  rows.push(["together", whole]);
  return formatTable(
    ["PHASE", "MS", "SHARE"],
    rows.map(([name, took]) => [name, took.toFixed(2), `${Math.round(100 * took / whole)} %`]),
  );
}

/** The steps that count, and the others together. */
function stepRows({ init }: Timeline, phase: string, whole: number): Row[] {
  const course = Object.hasOwn(PLANS, phase) ? init[PLANS[phase]!] : undefined;
  if (course === undefined) return [];
  const steps = partsOf(course);
  const large = steps.filter(({ took }) => took >= SMALLEST_SHARE * whole);
  const small = steps.filter((step) => !large.includes(step));
  const rest = small.reduce((sum, { took }) => sum + took, 0);
  return [
    ...large.map(({ name, took }): Row => [`    ${name}`, took]),
    ...(small.length === 0 ? [] : [[`    ${small.length} more`, rest] as Row]),
  ];
}

/** An event of the trace format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU */
type TraceEvent =
  | { ph: "M"; name: "process_name"; pid: number; tid: number; args: { name: string } }
  | { ph: "X"; name: string; cat: string; pid: number; tid: number; ts: number; dur: number };

/**
 * The same as a trace that https://ui.perfetto.dev and chrome://tracing open: a track for each process.
 *
 * @param id the container's
 */
export function formatTrace(id: string, { create, init, start }: Timeline): {
  traceEvents: TraceEvent[];
  displayTimeUnit: "ms";
} {
  const zero = create.began;
  return {
    displayTimeUnit: "ms",
    traceEvents: [
      ...trackOf(`create ${id}`, "create", create, zero),
      ...[init.namespaces, init.launch].flatMap((course, index) =>
        course === undefined
          ? []
          : trackOf(`init of ${id}`, index === 0 ? "namespaces" : "launch", course, zero)
      ),
      ...(start === undefined ? [] : trackOf(`start ${id}`, "start", start, zero)),
    ],
  };
}

function trackOf(title: string, cat: string, course: Course, zero: number): TraceEvent[] {
  const { pid, began } = course;
  // Microseconds.
  const event = (name: string, at: number, took: number): TraceEvent => ({
    ph: "X",
    name,
    cat,
    pid,
    tid: pid,
    ts: Math.round(1000 * (began - zero + at)),
    dur: Math.round(1000 * took),
  });
  return [
    { ph: "M", name: "process_name", pid, tid: pid, args: { name: title } },
    event(cat, 0, lengthOf(course)),
    ...partsOf(course).map(({ name, began, took }) => event(name, began, took)),
  ];
}

function partsOf({ phases }: Course): Part[] {
  return phases.map(([name, end], index) => {
    const began = phases[index - 1]?.[1] ?? 0;
    return { name, began, took: end - began };
  });
}

/** Milliseconds. */
function lengthOf({ phases }: Course): number {
  return phases.at(-1)?.[1] ?? 0;
}
