/**
 * Signals: sending them, and the dispositions and mask that execve passes on.
 * @module
 */
import { errnos } from "../constants/errno.ts";
import { SIG_SETMASK, SIGCHLD, SIGKILL, SIGSTOP } from "../constants/signal.ts";
import {
  SYS_pidfd_send_signal,
  SYS_rt_sigaction,
  SYS_rt_sigprocmask,
} from "../constants/syscall.ts";
import { checked, LinuxError } from "../errors.ts";
import { allocateStruct, getField64, KERNEL_SIGACTION, KERNEL_SIGSET } from "../structs.ts";
import * as signal from "../symbols/signal.ts";
import * as raw from "../symbols/syscall.ts";

/** Signals are numbered from 1 to this. @see asm/signal.h */
const NSIG = 64;
/** As `sa_handler`. @see asm-generic/signal-defs.h */
const SIG_DFL = 0n;
const SIG_IGN = 1n;

type Action = ReturnType<typeof allocateStruct<keyof typeof KERNEL_SIGACTION.fields>>;

/**
 * Sets every signal to its default action, also those that the C library reserves (32, 33): an
 * ignored signal would stay ignored across an exec. Afterwards only call exec, and functions that
 * never send a signal to this process.
 *
 * @throws {LinuxError}
 * @see rt_sigaction(2)
 */
export function resetSignalHandlers(): void {
  const byDefault = allocateStruct(KERNEL_SIGACTION); // all zeros: SIG_DFL
  for (let sig = 1; sig <= NSIG; sig++) {
    if (sig !== SIGKILL && sig !== SIGSTOP) signalAction(sig, byDefault);
  }
}

/**
 * Sets the signals that have a handler to their default action; what is ignored stays so. For a forked
 * child, which has the handlers of its parent.
 *
 * @throws {LinuxError}
 * @see rt_sigaction(2)
 */
export function dropSignalHandlers(): void {
  for (let sig = 1; sig <= NSIG; sig++) {
    const handler = getField64(signalAction(sig, null), "sa_handler");
    if (handler === SIG_DFL || handler === SIG_IGN) continue;
    signalAction(sig, allocateStruct(KERNEL_SIGACTION)); // all zeros: SIG_DFL
  }
}

/** Sets what is done on a signal, unless it is null. @returns what was done before */
function signalAction(sig: number, action: Action | null): Action {
  const old = allocateStruct(KERNEL_SIGACTION);
  checked("rt_sigaction", `signal ${sig}`, () =>
    raw.rt_sigaction(
      BigInt(SYS_rt_sigaction),
      sig,
      action?.bytes ?? null,
      old.bytes,
      BigInt(KERNEL_SIGSET.size),
    ));
  return old;
}

/**
 * Stops ignoring SIGCHLD, which a caller may have passed on by exec: children that exit would be
 * reaped, and their pids reused, before they are waited for.
 *
 * @throws {LinuxError}
 * @see waitpid(2), "NOTES"
 */
export function keepEndedChildren(): void {
  if (getField64(signalAction(SIGCHLD, null), "sa_handler") !== SIG_IGN) return;
  signalAction(SIGCHLD, allocateStruct(KERNEL_SIGACTION)); // all zeros: SIG_DFL
}

/**
 * @param mask bit N-1: the signal N is blocked in the calling thread
 * @throws {LinuxError}
 * @see rt_sigprocmask(2)
 */
export function setSignalMask(mask: bigint): void {
  const set = allocateStruct(KERNEL_SIGSET);
  set.view.setBigUint64(0, mask, true);
  checked("rt_sigprocmask", `0x${mask.toString(16)}`, () =>
    raw.rt_sigprocmask(
      BigInt(SYS_rt_sigprocmask),
      SIG_SETMASK,
      set.bytes,
      null,
      BigInt(set.bytes.length),
    ));
}

/**
 * @param pid of one process. 0 and negative numbers, which mean process groups or all processes, are rejected
 * @param signal SIG*; 0 only asks whether it may be sent
 * @throws {LinuxError} ESRCH: no such process
 * @see kill(2)
 */
export function kill(pid: number, sig: number): void {
  const subject = `pid ${pid} with signal ${sig}`;
  if (!(pid > 0)) {
    throw new LinuxError("kill", subject, errnos.EINVAL as number, "not a single process");
  }
  checked("kill", subject, () => signal.kill(pid, sig));
}

/**
 * @param pidfd of the process
 * @param sig SIG*; 0 only asks whether it may be sent
 * @throws {LinuxError} ESRCH: it has ended and was waited for
 * @see pidfd_send_signal(2)
 */
export function pidfdSendSignal(pidfd: number, sig: number): void {
  checked(
    "pidfd_send_signal",
    `signal ${sig} to pidfd ${pidfd}`,
    () => raw.pidfd_send_signal(BigInt(SYS_pidfd_send_signal), pidfd, sig, null, 0),
  );
}
