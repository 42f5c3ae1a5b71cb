import { UnsupportedError } from "../errors.ts";

/** Commands of other OCI runtimes that do not apply to a guest. */
export const refusedVerbs = {
  checkpoint: {
    summary: "Not supported: checkpointing a VM.",
    reason: "the container is a virtual machine whose state cannot be written out by CRIU",
    remedy: "pause and resume stop and continue a guest in place",
  },
  restore: {
    summary: "Not supported: restoring a VM.",
    reason: "the container is a virtual machine, and it cannot be checkpointed or restored",
    remedy: "create and start a new container",
  },
} as const;

export type RefusedVerb = keyof typeof refusedVerbs;

/** Whether this is the name of a command that is not supported. */
export function isRefusedVerb(word: string): word is RefusedVerb {
  return Object.hasOwn(refusedVerbs, word);
}

/** The error for it. */
export function refusal(verb: RefusedVerb): UnsupportedError {
  const { reason, remedy } = refusedVerbs[verb];
  return new UnsupportedError({ operation: `${verb} in container`, reason, remedy });
}
