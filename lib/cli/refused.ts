import { UnsupportedError } from "../errors.ts";

/** Commands that every OCI runtime is asked for and that a guest has no meaning for. */
export const refusedVerbs = {
  exec: {
    summary: "Refused: a guest has no processes of the host to enter.",
    reason: "the container is a virtual machine: it has no processes that another could join",
    remedy: "use the guest's console, or a service that the guest offers on its network",
  },
  checkpoint: {
    summary: "Refused: the memory of a guest is not written out.",
    reason: "the container is a virtual machine whose state cannot be written out by CRIU",
    remedy: "pause and resume stop and continue a guest in place",
  },
  restore: {
    summary: "Refused: there are no checkpoints.",
    reason: "the container is a virtual machine, and there is no checkpoint of one to restore",
    remedy: "create and start a new container",
  },
} as const;

export type RefusedVerb = keyof typeof refusedVerbs;

/** Whether a word names a command that is always refused. */
export function isRefusedVerb(word: string): word is RefusedVerb {
  return Object.hasOwn(refusedVerbs, word);
}

/** The error for it. Callers show its text to whoever typed `docker exec`. */
export function refusal(verb: RefusedVerb): UnsupportedError {
  const { reason, remedy } = refusedVerbs[verb];
  return new UnsupportedError({ operation: `${verb} in container`, reason, remedy });
}
