/** Exit codes of the command line; `run` besides ends with the guest's. */

/** As runc: anything that went wrong. */
export const FAILURE = 1;

/**
 * What was asked could not be understood, and nothing was done: as most command lines, so that a
 * script can distinguish its own mistake from the container's. runc has 1 for it, and 3 for an unknown command;
 * no caller looks at more than whether it is 0.
 */
export const USAGE_FAILURE = 2;
