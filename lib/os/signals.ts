/** What a signal's number is added to in the exit code of what it ended: a shell's convention. */
export const SIGNAL_EXIT_BASE = 128;
