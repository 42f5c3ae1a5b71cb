/** What the keys of urunc's image description begin with. */
export const keyPrefix = "com.urunc.unikernel.";

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
  "stop",
  "solo5NetDev",
] as const;

export type Key = typeof keys[number];

/** Known keys of features that are still to come; empty or `false` asks for nothing. */
export const laterKeys = [
  "block",
  "blkMntPoint",
  "useDMBlock",
  "mountRootfs",
  "solo5BlkDev",
] as const;

export type LaterKey = typeof laterKeys[number];
