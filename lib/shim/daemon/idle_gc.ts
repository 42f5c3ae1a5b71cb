import { mallocTrim } from "../../../ffi/linux.ts";
import { forgetFilePages } from "../../os/mapped_files.ts";
import { after } from "../../os/timer.ts";

/** Whatever is going on is over by then. */
const QUIET_MILLISECONDS = 1000;

/** A task takes ten requests or so. A collection takes as long as two of them. */
const REQUESTS_BETWEEN = 500;

/**
 * Keeps a process small that is idle for most of its life: V8 collects garbage when it needs memory,
 * and an idle process needs none, so it would keep what its last work has left, for as long as its
 * container runs.
 */
export class IdleGc {
  #requests = 0;
  /** When the last one was answered. */
  #answered = 0;
  #isWaiting = false;

  /**
   * A request was answered. Its garbage is given back when no other comes for a while, or when very many
   * have come.
   */
  requestWasAnswered(): void {
    this.#answered = performance.now();
    if (++this.#requests === REQUESTS_BETWEEN) after(0, () => this.#collect());
    if (!this.#isWaiting) this.#waitForQuiet(QUIET_MILLISECONDS);
  }

  #waitForQuiet(milliseconds: number): void {
    this.#isWaiting = true;
    after(Math.ceil(milliseconds), () => {
      this.#isWaiting = false;
      const left = this.#answered + QUIET_MILLISECONDS - performance.now();
      if (left > 0) this.#waitForQuiet(left);
      else if (this.#requests > 0) {
        this.#collect();
        forget();
      }
    });
  }

  #collect(): void {
    this.#requests = 0;
    collect();
  }
}

/** V8 offers it by a flag: `lib/build/start_up.ts`. */
function collect(): void {
  const { gc } = globalThis as { gc?: (options: Record<string, string>) => void };
  if (gc === undefined) return;
  gc({ type: "major", execution: "sync", flavor: "last-resort" });
  mallocTrim();
}

/** Of what a start used of the executable an idle daemon needs a quarter; one that is busy needs it all. */
function forget(): void {
  try {
    forgetFilePages();
  } catch {
    // Only memory is lost: where there is no descriptor left for it, no daemon may end for that.
  }
}
