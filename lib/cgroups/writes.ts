import { HostError, UnsupportedError } from "../errors.ts";
import { WAITER_PROCESSES } from "../oci/process_limits.ts";

/** One write to a file of a cgroup. */
export interface CgroupWrite {
  /** Absolute. */
  file: string;
  value: string;
  /** The kernel may lack the file, because without it things already are as asked for. */
  mayBeMissing?: true;
  /** The kernel has this file, or that one, or both: each that is there is written. */
  or?: { file: string; value: string };
}

/** Does a property ask for anything? Zeros, false, empty strings, lists and objects do not. */
export function isRequest(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return false;
  if (value === 0 || value === "") return false;
  if (typeof value === "object") return Object.values(value).some(isRequest);
  return true;
}

/** The error for a property that cannot be honoured. */
export function unsupported(property: string, reason: string): UnsupportedError {
  return new UnsupportedError({ operation: "plan limit", subject: property, reason });
}

/** The error for a controller that a limit needs and this host does not offer. */
export function missingController(property: string, controller: string): HostError {
  return new HostError({
    operation: "plan limit",
    subject: property,
    reason: `the cgroup controller ${controller} is not available`,
    remedy: `enable ${controller} on the kernel command line or mount it`,
  });
}

/** Decimal digits of an integer that a number holds, without an exponent. */
export function digits(value: number): string {
  return BigInt(value).toString();
}

/**
 * What `pids.max` is set to.
 *
 * @param limit of config.json; less than 0: none
 */
export function processLimit(limit: number): string {
  return limit < 0 ? "max" : digits(limit + WAITER_PROCESSES);
}
