/** Lets one after the other do something. */
export class Mutex {
  #last: Promise<unknown> = Promise.resolve();

  /** Calls `action` when all that was asked for before is done. */
  run<T>(action: () => Promise<T>): Promise<T> {
    const result = this.#last.then(action);
    this.#last = result.catch(() => {});
    return result;
  }
}
