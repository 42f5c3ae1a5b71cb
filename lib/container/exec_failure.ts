import { type ErrorParts, ExecFailedError, HostError, WrongStateError } from "../errors.ts";
import type { Process } from "../oci/types.ts";

/** What a relay may write at most. Bytes. */
export const LONGEST_REPORT = 128;

/** The report of a relay whose process runs. */
export const STARTED = "started";

/** As runc begins; docker and podman look for what follows, to choose between 126 and 127. */
const OPERATION = "exec failed: unable to start container process";

/** `enum exec_stage` of lib/build/guest_init/exec_protocol.h. */
const STAGES = [
  "request",
  "files",
  "fork",
  "limit",
  "directory",
  "user",
  "privileges",
  "program",
] as const;

/** Exit codes of a shell. */
const [NOT_FOUND, NOT_RUN] = [127, 126];

/** As Go words them, and so runc; errno(3). */
const REASONS: Readonly<Record<number, string>> = {
  1: "operation not permitted",
  2: "no such file or directory",
  5: "input/output error",
  7: "argument list too long",
  8: "exec format error",
  11: "resource temporarily unavailable",
  12: "cannot allocate memory",
  13: "permission denied",
  20: "not a directory",
  22: "invalid argument",
  26: "text file busy",
  36: "file name too long",
  40: "too many levels of symbolic links",
  109: "too many references: cannot splice",
};
const [ENOENT, ENOTDIR] = [2, 20];

/**
 * The error that a relay's report stands for (lib/build/waiter/relay.h). It comes from a process that has read
 * what a guest said: anything else than its few forms is a guest that breaks the protocol.
 */
export function execFailure(report: string, id: string, process: Process): Error {
  const [, stage, errno] = /^failed ([0-7]) (\d{1,4})$/.exec(report) ?? [];
  if (stage !== undefined) return programFailure(STAGES[Number(stage)]!, Number(errno), process);
  const [, what, number] = /^error (\w{1,40}) (\d{1,4})$/.exec(report) ?? [];
  if (what === "connection") return notHandedOver(id, Number(number));
  if (what !== undefined) return failed(id, `the relay: ${what}: ${reasonOf(Number(number))}`);
  switch (report) {
    case "silent":
      return failed(id, "the guest's agent does not answer", "see urunc logs --console");
    case "ended":
      return new WrongStateError({
        operation: "exec in container",
        subject: id,
        reason: "container not running: it has ended meanwhile",
      });
    case "":
      return failed(id, "it was killed before the guest's agent had started it");
    case "signal":
      return failed(id, "a signal ended the waiting for the guest's agent");
  }
  return failed(id, "the guest's agent does not keep to the protocol");
}

/** The container runs: its user has, for example, too many descriptors on their way (unix(7), ETOOMANYREFS). */
function notHandedOver(id: string, errno: number): HostError {
  const reason = `the container's process cannot hand over the guest's connection: ${
    reasonOf(errno)
  }`;
  return failed(id, reason, "try again");
}

function failed(subject: string, reason: string, remedy?: string): HostError {
  return new HostError({ operation: "exec in container", subject, reason, remedy });
}

function programFailure(
  stage: typeof STAGES[number],
  errno: number,
  process: Process,
): ExecFailedError {
  const isMissing = stage === "program" && (errno === ENOENT || errno === ENOTDIR);
  const parts: ErrorParts = { operation: OPERATION, reason: describe(stage, errno, process) };
  return new ExecFailedError(parts, isMissing ? NOT_FOUND : NOT_RUN);
}

function describe(stage: typeof STAGES[number], errno: number, { args, cwd }: Process): string {
  const reason = reasonOf(errno);
  const program = JSON.stringify(args[0]);
  switch (stage) {
    case "program":
      if (errno !== ENOENT) return `exec: ${program}: ${reason}`;
      if (!args[0]!.includes("/")) return `exec: ${program}: executable file not found in $PATH`;
      return `exec: ${program}: stat ${args[0]}: ${reason}`;
    case "directory":
      return `chdir to cwd (${JSON.stringify(cwd)}) set in config.json failed: ${reason}`;
    case "user":
      return `setting the user and its capabilities: ${reason}`;
    case "limit":
      return `error setting rlimits: ${reason}`;
    case "privileges":
      return `setting no_new_privs, or the filter of system calls: ${reason}`;
    case "fork":
      return `the guest cannot start a process: ${reason}`;
    case "files":
      return `the guest cannot open the process's files: ${reason}`;
    case "request":
      return `the guest's agent cannot read the description of the process: ${reason}`;
  }
}

function reasonOf(errno: number): string {
  return REASONS[errno] ?? `errno ${errno}`;
}
