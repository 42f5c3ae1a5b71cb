/** What the keys of urunc's image description begin with. */
export const keyPrefix = "com.urunc.unikernel.";

/** Nothing else in a config.json begins so: a key that is not one of ours is a misspelt one. */
export const projectPrefix = "com.urunc.";

/** The keys that are understood, without {@linkcode keyPrefix}. */
export const keys = [
  "unikernelType",
  "unikernelVersion",
  "binary",
  "cmdline",
  "hypervisor",
  "initrd",
  "accelerator",
  "environment",
  "kernelParameters",
  "stop",
  "block",
  "blkMntPoint",
  "useDMBlock",
  "mountRootfs",
  "solo5NetDev",
  "solo5BlkDev",
] as const;

export type Key = typeof keys[number];
