/** Prefix of the keys of an image's description. */
export const keyPrefix = "com.urunc.unikernel.";

/** Prefix that only urunc's keys have: an unknown key with it is a misspelt one. */
export const projectPrefix = "com.urunc.";

/** All keys, without {@linkcode keyPrefix}. */
export const keys = [
  "unikernelType",
  "unikernelVersion",
  "binary",
  "kernel",
  "cmdline",
  "hypervisor",
  "initrd",
  "accelerator",
  "environment",
  "kernelParameters",
  "stop",
  "agent",
  "block",
  "blkMntPoint",
  "useDMBlock",
  "mountRootfs",
  "solo5NetDev",
  "solo5BlkDev",
] as const;

export type Key = typeof keys[number];
