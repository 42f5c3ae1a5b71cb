/** Where in a container's creation something was just done. */
export type ObservedPhase = "command" | "namespaces" | "launch";

/**
 * Is told of every step after it was done. The executable has only the silent one; tests pass one
 * that ends the process at a chosen step, to see what is left behind.
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
