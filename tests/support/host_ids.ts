/** The first of 65537 ids of the host that are this run's alone: one container's, and its monitor's. */
export const FIRST_ID = 1_600_000_000 + 100_000 * (Deno.pid % 4_000);
