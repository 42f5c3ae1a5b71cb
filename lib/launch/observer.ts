/** Where in a container's creation something was just done. */
export type ObservedPhase = "command" | "namespaces" | "launch";

/**
 * Called after every step. The executable has only the silent one; tests pass one
 * that ends the process at a chosen step, or lets the step fail, to see what is left behind.
 */
export interface Observer {
  afterStep(phase: ObservedPhase, index: number, name: string): void;
  /** Arguments that carry the observer over into the init process. */
  initArguments(): string[];
}

export const SILENT_OBSERVER: Observer = {
  afterStep() {},
  initArguments() {
    return [];
  },
};

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
