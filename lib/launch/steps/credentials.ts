import {
  capget,
  capset,
  CLOSE_RANGE_CLOEXEC,
  closeRange,
  keyctlJoinSessionKeyring,
  LinuxError,
  PR_CAP_AMBIENT,
  PR_CAP_AMBIENT_CLEAR_ALL,
  PR_CAP_AMBIENT_RAISE,
  PR_CAPBSET_DROP,
  PR_SET_DUMPABLE,
  PR_SET_KEEPCAPS,
  PR_SET_NO_NEW_PRIVS,
  prctl,
  resetSignalHandlers,
  rlimits,
  seccompSetModeFilter,
  setgroups,
  setresgid,
  setresuid,
  setrlimit,
  setSignalMask,
  umask,
} from "../../../ffi/linux.ts";
import { capabilityNumber } from "../../config/capabilities.ts";
import { exists } from "../../os/files.ts";
import { programOf } from "../../seccomp/filter.ts";
import type { StepHandlers } from "../context.ts";

/** First descriptor that is not standard input, output or error. */
const FIRST_EXTRA_FD = 3;
const LAST_FD = 0xffffffff;
const ALL_SIGNALS = 0xffff_ffff_ffff_ffffn;

/** What the process is allowed, given up one by one; the plan has the order and its reasons. */
export const CREDENTIAL_STEPS: StepHandlers<
  | "undumpable"
  | "setRlimit"
  | "inheritCapabilities"
  | "dropBoundingSet"
  | "keepCapabilities"
  | "setGroups"
  | "setGid"
  | "setUid"
  | "setCapabilities"
  | "noNewPrivileges"
  | "resetSignals"
  | "umask"
  | "newSessionKeyring"
  | "closeFds"
  | "filterCalls"
  | "apparmorProfile"
> = {
  apparmorProfile({ profile }) {
    // Of this thread, which is the one that execve keeps. Since Linux 5.8 AppArmor has a directory
    // of its own, so that another security module cannot be meant.
    const directory = "/proc/thread-self/attr";
    const own = `${directory}/apparmor/exec`;
    Deno.writeTextFileSync(exists(own) ? own : `${directory}/exec`, `exec ${profile}`);
  },

  undumpable() {
    // Until the exec, which makes a process dumpable again.
    prctl(PR_SET_DUMPABLE, 0);
  },

  setRlimit({ type, soft, hard }) {
    setrlimit(known(type, rlimits[type]), { soft: BigInt(soft), hard: BigInt(hard) });
  },

  inheritCapabilities({ capabilities }) {
    capset({ ...capget(), inheritable: bitsOf(numbersOf(capabilities)) });
  },

  dropBoundingSet({ keep }) {
    const kept = new Set(keep.map((name) => known(name, capabilityNumber(name))));
    // Until the kernel knows no more, whatever our table has: a newer kernel has capabilities that we
    // cannot name.
    for (let capability = 0;; capability++) {
      if (!kept.has(capability) && !dropCapability(capability)) return;
    }
  },

  keepCapabilities() {
    prctl(PR_SET_KEEPCAPS, 1);
  },

  setGroups({ gids }) {
    setgroups(gids);
  },

  setGid({ gid }) {
    setresgid(gid, gid, gid);
  },

  setUid({ uid }) {
    setresuid(uid, uid, uid);
  },

  setCapabilities({ capabilities, kept = [], passed = [] }) {
    const numbers = numbersOf([...capabilities, ...passed]);
    const set = bitsOf(numbers);
    const own = set | bitsOf(numbersOf(kept));
    // Ambient first: a kernel keeps an ambient capability only while it is permitted and inheritable.
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
    capset({ effective: own, permitted: own, inheritable: set });
    // An unprivileged program keeps what is ambient over execve (capabilities(7)).
    for (const number of numbers) prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number);
  },

  noNewPrivileges() {
    prctl(PR_SET_NO_NEW_PRIVS, 1);
  },

  resetSignals() {
    // Ignored signals and the mask survive execve; handlers do not. The waiter reads signals when it
    // is ready, and as PID 1 it would lose what comes before, were it not blocked.
    resetSignalHandlers();
    setSignalMask(ALL_SIGNALS);
  },

  umask({ mask }) {
    umask(mask);
  },

  newSessionKeyring() {
    // Anonymous, so that no other process can join it: the caller's keys stay out of reach.
    keyctlJoinSessionKeyring(null);
  },

  closeFds() {
    // Marked rather than closed: Deno and the barrier use theirs until the very exec.
    closeRange(FIRST_EXTRA_FD, LAST_FD, CLOSE_RANGE_CLOEXEC);
  },

  filterCalls({ filter }) {
    // This thread is the one that execve keeps, and Deno's others need other calls until then.
    seccompSetModeFilter(programOf(filter));
  },
};

function numbersOf(names: string[]): number[] {
  return names.map((name) => known(name, capabilityNumber(name)));
}

function bitsOf(numbers: number[]): bigint {
  return numbers.reduce((bits, number) => bits | (1n << BigInt(number)), 0n);
}

/** False for a capability that the kernel does not know: prctl(2), PR_CAPBSET_DROP fails with EINVAL then. */
function dropCapability(capability: number): boolean {
  try {
    prctl(PR_CAPBSET_DROP, capability);
    return true;
  } catch (error) {
    if (error instanceof LinuxError && error.code === "EINVAL") return false;
    throw error;
  }
}

function known(name: string, number: number | undefined): number {
  // The plan was made from validated names; not knowing one here must not mean number 0.
  if (number === undefined) throw new Error(`unknown name ${name}`);
  return number;
}
