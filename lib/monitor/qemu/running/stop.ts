import { pollAsync, POLLIN } from "../../../../ffi/linux.ts";
import { readGuestTime } from "./guest_time.ts";
import {
  CTRL_ALT_DELETE,
  isInKernel,
  lastProgram,
  POWER_BUTTON,
  qmpCommand,
  READ_ENABLED_EVENTS,
  READ_REGISTERS,
  wantsPowerButton,
} from "../qmp.ts";
import { Control } from "./control.ts";
import { WaitingTime } from "./waiting.ts";
import { formatError } from "../../../errors.ts";
import { debug } from "../../../watch.ts";
import type { RunningGuest, StopOutcome } from "../../types.ts";

/**
 * A guest does not report whether it handles the power button. But one that does runs a program, which
 * changes the processor's registers and takes processor time; one that does not is as idle afterwards as
 * before. So both are observed for a moment before and after. Milliseconds.
 */
const WATCH = { before: 150, first: 150, then: 450 };

/** How many moments to wait for one in which the guest is idle. */
const MOMENTS = 4;

/**
 * While a guest waits for a processor that others use, or that its limit denies it, it cannot react:
 * that time does not count. Watching takes at most this many times as long because of it; a guest that
 * has run for less than the share of its time by then counts as one that reacts.
 */
const PATIENCE = { times: 2, share: 0.5 };

/** How often the statistics are read, in milliseconds. */
const WATCH_INTERVAL = 25;

/**
 * Processor time in milliseconds, in the first moment, that is more than a kernel alone takes for
 * the event. It reveals a program that leaves no trace in the registers, because it ran last. Measured
 * with Linux 6.12: with TCG, up to 7.9 ms without a listener (30 times, most of it on a busy machine),
 * and 10.8 to 33 ms when a shell wakes up and starts `sleep`; with KVM in a machine that is emulated
 * itself, 0.7 and 25 ms. For KVM on bare metal the number is estimated, not measured: a kernel alone some
 * 0.2 ms, a process that is started about 1 ms. Rather too low: then the caller kills a guest that does not
 * react, only later; with a number too high, one that shuts down would be cut off.
 */
const BUTTON_BURST = { kvm: 0.5, tcg: 9.5 };

/**
 * Linux restarts at once on Ctrl-Alt-Delete, unless init asked for a signal: so any work after which the
 * guest still runs means that init got it. Without a keyboard driver the guest does not notice.
 */
const KEYS_BURST = 0.2;

/**
 * Processor time in milliseconds from a guest's first instruction until its kernel has started init,
 * rather too much: Debian's Linux 6.12 takes 3700 with TCG (measured), and some 400 with KVM on bare
 * metal (estimated from its own log). Before that nothing handles the keyboard, and there is nothing to
 * shut down yet.
 */
const BOOT = { kvm: 500, tcg: 4000 };

/** How often the registers are read to see whether a kernel boots, and the milliseconds between. */
const BOOT_SAMPLES = 5;
const BOOT_INTERVAL = 20;

/** Share of a processor, beyond twice what the guest took before, that counts as work. */
const WORKING = 0.02;

/** Share of a processor above which additional work could not be noticed. */
const BUSY = 0.5;

/**
 * Asks a guest to shut down, by its monitor's control socket:
 *
 * 1. the power button, if its kernel handles it. If the guest reacts at all, it has as long as the
 *    caller waits;
 * 2. Ctrl-Alt-Delete: Linux then either restarts at once, and the monitor exits, or signals init. A guest
 *    that still boots is busy and would look like one that shuts down: it is not asked.
 *
 * It takes at most 2.4 s, half of which only when the guest handles neither, and 1.5 s with an idle
 * guest; twice that when the guest waits for a processor, and 4 s more when the monitor waits for one
 * before it answers (`Patience`). In no case does it take longer than `Control` allows: a guest that was
 * asked by then has as long as the caller waits, and one that was not is ended.
 */
export async function stopGuest(guest: RunningGuest): Promise<StopOutcome> {
  try {
    using control = await Control.connect(guest);
    if (guest.asking === "button") {
      await control.ask(POWER_BUTTON);
      return "stopping";
    }
    const accelerator = await readAccelerator(control);
    if (wantsPowerButton(await control.ask(READ_ENABLED_EVENTS))) {
      const outcome = await watch(guest, control, POWER_BUTTON, BUTTON_BURST[accelerator]);
      if (outcome !== "unresponsive") return outcome;
    } else if (await isBooting(guest, control, accelerator)) {
      return "unresponsive";
    }
    // A kernel restarts at once, unless init is notified: that is the guest's end in most cases.
    guest.ending();
    return await watch(guest, control, CTRL_ALT_DELETE, KEYS_BURST);
  } catch (error) {
    debug(`QMP: ${formatError(error)}`, { pid: guest.pid });
    // Whatever is wrong with the control socket, a signal still terminates the monitor. It may also have
    // exited meanwhile.
    return "unresponsive";
  }
}

async function readAccelerator(control: Control): Promise<"kvm" | "tcg"> {
  const kvm = (await control.ask(qmpCommand("query-kvm"))).return;
  const isKvm = typeof kvm === "object" && kvm !== null && "enabled" in kvm && kvm.enabled === true;
  return isKvm ? "kvm" : "tcg";
}

/** Whether the guest has not started init yet; false when that cannot be determined. */
async function isBooting(
  guest: RunningGuest,
  control: Control,
  accelerator: "kvm" | "tcg",
): Promise<boolean> {
  for (let sample = 0; sample < BOOT_SAMPLES; sample++) {
    if (sample > 0 && await workIn(guest, control, BOOT_INTERVAL) === "ended") return false;
    if ((readGuestTime(guest.pid)?.ran ?? Infinity) > BOOT[accelerator]) return false;
    if (!isInKernel(await control.ask(READ_REGISTERS))) return false;
  }
  return true;
}

/**
 * Sends an event to a guest and watches for a reaction. Whatever may be a reaction counts as one: then
 * the caller's timeout decides.
 *
 * @param event a command for the monitor
 * @param burst processor time in milliseconds that counts as a reaction
 */
async function watch(
  guest: RunningGuest,
  control: Control,
  event: string,
  burst: number,
): Promise<StopOutcome> {
  const { program, work: before } = await watchAtRest(guest, control);
  if (before === "ended") return "ended";
  await control.ask(event);
  const first = await workIn(guest, control, WATCH.first);
  if (first === "ended") return "ended";
  if (before === undefined || first === undefined) return "stopping";
  const usual = before / WATCH.before;
  if (usual > BUSY || first - usual * WATCH.first > burst) return "stopping";
  if (await hasRun(control, program)) return "stopping";
  const then = await workIn(guest, control, WATCH.then);
  if (then === "ended") return "ended";
  if (then === undefined || then / WATCH.then > 2 * usual + WORKING) return "stopping";
  return await hasRun(control, program) ? "stopping" : "unresponsive";
}

/** A moment of a guest before an event. */
interface Rest {
  /** The last program that had run by then; undefined when it is unknown, or others ran meanwhile. */
  program?: string;
  /** As of `workIn`. */
  work: number | "ended" | undefined;
}

/**
 * Waits for a moment in which the guest is idle, or does what it always does: the work of one that has
 * just become ready, or whose programs wake up now and then, could hide a reaction.
 *
 * @returns the calmest of several moments when there is none, without a program: only how much it
 *   worked
 */
async function watchAtRest(guest: RunningGuest, control: Control): Promise<Rest> {
  let calmest: number | undefined;
  for (let moment = 1;; moment++) {
    const program = await readProgram(control);
    const work = await workIn(guest, control, WATCH.before);
    if (work === "ended" || work === undefined) return { work };
    calmest = Math.min(work, calmest ?? work);
    if (await readProgram(control) === program) return { program, work };
    if (moment === MOMENTS) return { work: calmest };
  }
}

/** Undefined when it cannot be read: the guest is asked all the same. */
async function readProgram(control: Control): Promise<string | undefined> {
  const answer = await control.ask(READ_REGISTERS).catch(() => undefined);
  return answer === undefined ? undefined : lastProgram(answer);
}

/** Whether a program has run since `program` did; true when the monitor no longer answers. */
async function hasRun(control: Control, program: string | undefined): Promise<boolean> {
  return program !== undefined && await readProgram(control) !== program;
}

/**
 * Processor time of the guest in the next milliseconds, not counting those in which it waits for a
 * processor.
 *
 * @returns undefined when it is unknown, or the guest waited for too long
 */
async function workIn(
  { pid, pidfd }: RunningGuest,
  { deadline }: Control,
  milliseconds: number,
): Promise<number | "ended" | undefined> {
  const time = new WaitingTime(() => readGuestTime(pid));
  for (let left = milliseconds;;) {
    const [events] = await pollAsync(
      [{ fd: pidfd, events: POLLIN }],
      Math.min(left, WATCH_INTERVAL),
    );
    if (events !== 0) return "ended";
    if (performance.now() > deadline) return undefined;
    const { elapsed, ran, waited } = time.look();
    // Without statistics only its exit can be noticed.
    if (ran === undefined) {
      left = milliseconds - elapsed;
      if (left < 1) return undefined;
      continue;
    }
    // The threads of its processors are exiting, and the monitor is about to.
    if (ran < 0) return undefined;
    const served = elapsed - waited;
    left = Math.min(milliseconds - served, milliseconds * PATIENCE.times - elapsed);
    if (left >= 1) continue;
    return served < milliseconds * PATIENCE.share ? undefined : ran;
  }
}
