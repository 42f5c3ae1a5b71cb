/** A container's exit code when its guest crashed without one of its own. */
export const CRASHED = 255;
