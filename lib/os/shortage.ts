import { errorMessage, HostError, UruncError } from "../errors.ts";
import { osErrorCode } from "./os_error.ts";

/** What a machine, or this process, can run out of, and what its operator can do: errno(3). */
const REMEDIES: Record<string, string> = {
  EMFILE: "raise the caller's limit of open files: ulimit -n, LimitNOFILE= of its unit",
  ENFILE: "raise the machine's limit of open files: sysctl fs.file-max",
  ENOSPC: "free space and inodes where the state is, and see sysctl user.* and fs.inotify.*",
  EDQUOT: "raise the quota where the state is",
  ENOMEM: "free memory, or raise the limit of the caller's or the container's cgroup",
};

/** @returns what can be done about an errno, by C's name; undefined unless something has run out */
export function shortageRemedy(code: string | undefined): string | undefined {
  return code === undefined ? undefined : REMEDIES[code];
}

/**
 * Says what can be done about an error, where something has run out; any other error stays as it is.
 *
 * @param operation what was attempted, for an error of the system that does not say
 * @param subject on what
 */
export function explainShortage(operation: string, subject: string, error: unknown): unknown {
  const isOurs = error instanceof UruncError;
  const remedy = shortageRemedy(osErrorCode(isOurs ? error.cause : error));
  if (remedy === undefined) return error;
  if (!isOurs) {
    return new HostError({ operation, subject, reason: errorMessage(error), remedy, cause: error });
  }
  // Callers act on the class of the others.
  const isPlain = error.name === "HostError" || error.name === "UruncError";
  return isPlain && error.parts.remedy === undefined
    ? new HostError({ ...error.parts, remedy })
    : error;
}
