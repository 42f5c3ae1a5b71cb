import { parseKernelSize } from "./kernel_size.ts";
import type { Resources } from "./types.ts";

/** A limit on how many processes and threads a container has. */
export interface ProcessLimit {
  /** Below `linux.resources`. */
  property: string;
  processes: number;
}

/**
 * The limits on a container's processes. `unified` is written after the others and as it is, so that it
 * counts in their place, and for the waiter, too.
 */
export function processLimits({ pids, unified }: Resources): ProcessLimit[] {
  const { limit = 0 } = pids;
  const max = unified["pids.max"];
  if (max === undefined) return limit > 0 ? [{ property: "pids.limit", processes: limit }] : [];
  const number = parseKernelSize(max);
  if (number === undefined) return [];
  return [{ property: 'unified["pids.max"]', processes: Number(number) - WAITER_PROCESSES }];
}

/** The container's own process, beside the monitor: it takes nothing of `pids.limit`. */
export const WAITER_PROCESSES = 1;
