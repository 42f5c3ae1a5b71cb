/** A container's exit code when its guest crashed and told no code of its own: nothing else is known. */
export const CRASHED = 255;
