import { UsageError } from "../errors.ts";

/**
 * What a signal to a container does. A guest has no signal handlers, so a signal has its default
 * disposition (signal(7), "Standard signals"), with an orderly shutdown in place of termination:
 *
 * - `stop`: the guest is asked to shut down, and terminated when it does not react;
 * - `end`: it is terminated at once;
 * - `pause`, `resume`: the monitor's process is stopped and continued, and the guest with it;
 * - `test`: only checks that there is a process;
 * - `nothing`.
 *
 * The waiter does so with signals that others send to the container's process (lib/build/waiter).
 */
export type SignalEffect = "stop" | "end" | "pause" | "resume" | "test" | "nothing";

/**
 * Effects other than `stop`, by number. Signals have the numbers that most processors give them.
 *
 * @see signal(7)
 */
const EFFECTS: Readonly<Record<number, SignalEffect>> = {
  0: "test",
  9: "end", // SIGKILL
  17: "nothing", // SIGCHLD
  18: "resume", // SIGCONT
  19: "pause", // SIGSTOP
  20: "pause", // SIGTSTP
  21: "pause", // SIGTTIN
  22: "pause", // SIGTTOU
  23: "nothing", // SIGURG
  28: "nothing", // SIGWINCH
};

/** The standard signals in the order of their numbers, from 1. */
const NAMES =
  ("HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT " +
    "STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS").split(" ");

/** Further names of the same signals. */
const ALIASES: Readonly<Record<string, number>> = { IOT: 6, CLD: 17, POLL: 29 };

/** The C library reserves the kernel's first two real-time signals, signal(7). */
const SIGRTMIN = 34;
const SIGRTMAX = 64;

export const SIGKILL = 9;
export const SIGTERM = 15;
export const SIGCONT = 18;
export const SIGSTOP = 19;
export const SIGTSTP = 20;

/** Annotation with the image's STOPSIGNAL (image-spec, conversion.md), which podman sets. */
export const STOP_SIGNAL_ANNOTATION = "org.opencontainers.image.stopSignal";

/**
 * A signal's number from its name (`SIGTERM`, `TERM`, `RTMIN+3`, any case) or number.
 *
 * @throws UsageError
 */
export function parseSignal(text: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : numberOf(text.toUpperCase());
  return requireSignal(number, text);
}

/**
 * Checks a signal's number: one that does not exist would otherwise count as a stop.
 *
 * @param text as the caller wrote it
 * @throws UsageError
 */
export function requireSignal(number: number | undefined, text = `${number}`): number {
  if (number !== undefined && number >= 0 && number <= SIGRTMAX) return number;
  throw new UsageError({
    operation: "parse signal",
    subject: text,
    reason: "no such signal",
    remedy: `use a name such as SIGTERM, TERM or RTMIN+3, or a number from 0 to ${SIGRTMAX}`,
  });
}

/** @param name in capitals, with or without `SIG` */
function numberOf(name: string): number | undefined {
  const short = name.startsWith("SIG") ? name.slice(3) : name;
  const index = NAMES.indexOf(short);
  if (index >= 0) return index + 1;
  if (Object.hasOwn(ALIASES, short)) return ALIASES[short];
  const [, base, sign, offset] = /^RTM(IN|AX)(?:([+-])(\d{1,2}))?$/.exec(short) ?? [];
  if (base === undefined || sign === (base === "IN" ? "-" : "+")) return undefined;
  const number = base === "IN" ? SIGRTMIN + Number(offset ?? 0) : SIGRTMAX - Number(offset ?? 0);
  return number >= SIGRTMIN && number <= SIGRTMAX ? number : undefined;
}

/**
 * What a signal does to a container.
 *
 * @param signal number
 * @param annotations of the container: where they have the image's STOPSIGNAL, that signal is a stop
 *   (web servers have `STOPSIGNAL SIGWINCH`, which would otherwise do nothing)
 */
export function effectOf(signal: number, annotations: Record<string, string> = {}): SignalEffect {
  const effect = EFFECTS[signal];
  if (effect === undefined) return "stop";
  return effect === "nothing" && signal === stopSignalOf(annotations) ? "stop" : effect;
}

/** Undefined without the annotation, or when it is not a signal: an image's mistake is ignored. */
function stopSignalOf(annotations: Record<string, string>): number | undefined {
  const text = annotations[STOP_SIGNAL_ANNOTATION];
  if (text === undefined) return undefined;
  try {
    return parseSignal(text);
  } catch {
    return undefined;
  }
}
