import { after, type Timer } from "../../os/timer.ts";

/** Waits for a promise, so many milliseconds at most. Returns whether it was fulfilled in time. */
export async function endsWithin(ended: Promise<void>, milliseconds: number): Promise<boolean> {
  let timer: Timer | undefined;
  const late = new Promise<false>((resolve) => {
    timer = after(milliseconds, () => resolve(false));
  });
  try {
    return await Promise.race([ended.then(() => true), late]);
  } finally {
    timer?.cancel();
  }
}
