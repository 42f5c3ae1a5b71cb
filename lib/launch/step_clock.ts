import type { ObservedPhase, Observer } from "./observer.ts";

/** When the steps of a plan ended. */
export interface StepTimes {
  /** When the first one began: milliseconds since 1970, with fractions. */
  began: number;
  /** Milliseconds from then to the end of each step, in the order of the plan. */
  ends: number[];
}

/** Notes when each step ended: an observer around another one. */
export class StepClock implements Observer {
  readonly #inner: Observer;
  readonly #began = performance.now();
  readonly #ends: number[] = [];
  /** Is called after each step with its index. */
  onStep?: (index: number, milliseconds: number) => void;

  constructor(inner: Observer) {
    this.#inner = inner;
  }

  afterStep(phase: ObservedPhase, index: number, name: string): void {
    const end = performance.now() - this.#began;
    this.onStep?.(index, end - (this.#ends.at(-1) ?? 0));
    this.#ends.push(end);
    this.#inner.afterStep(phase, index, name);
  }

  initArguments(): string[] {
    return this.#inner.initArguments();
  }

  times(): StepTimes {
    return { began: performance.timeOrigin + this.#began, ends: this.#ends };
  }
}
