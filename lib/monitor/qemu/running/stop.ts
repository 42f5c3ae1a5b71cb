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
 * A guest does not say whether it heeds a power button. But one that heeds it runs a program, whose
 * traces are in its processor's registers, and which takes processor time; one that does not is as idle
 * afterwards as before. So both are watched for a moment before and after. Milliseconds.
 */
const WATCH = { before: 150, first: 150, then: 450 };

/** How many moments before are looked at for one in which the guest rests. */
const MOMENTS = 4;

/**
 * While a guest waits for a processor that others have, or that its limit denies it, it cannot react:
 * that does not count. Watching takes this many times as long for it at most; a guest that has had less
 * than the share of its time by then may have heard, for all that can be seen.
 */
const PATIENCE = { times: 2, share: 0.5 };

/** How often is looked whether it waits, in milliseconds. */
const WATCH_INTERVAL = 25;

/**
 * Processor time in milliseconds, in the first moment, that is more than a kernel alone takes for
 * the event. It tells of a program that leaves no trace, for it was the last one that had run. Measured
 * with Linux 6.12: with TCG, up to 7.9 ms when nobody listens (30 times, most of it on a busy machine),
 * and 10.8 to 33 ms when a shell wakes up and starts `sleep`; with KVM in a machine that is emulated
 * itself, 0.7 and 25 ms. For KVM on bare metal the number is estimated, not measured: a kernel alone some
 * 0.2 ms, a process that is started about 1 ms. Rather too low: a deaf guest is then ended by the caller,
 * only later, where a listening one would be cut off.
 */
const BUTTON_BURST = { kvm: 0.5, tcg: 9.5 };

/**
 * Ctrl-Alt-Delete is over at once, unless init wants to be told: so the least bit of work that does
 * not end the guest means that init was told. Without a keyboard driver the guest does not notice.
 */
const KEYS_BURST = 0.2;

/**
 * Processor time in milliseconds from a guest's first instruction until its kernel has started init,
 * rather too much: Debian's Linux 6.12 takes 3700 with TCG (measured), and some 400 with KVM on bare
 * metal (estimated from its own log). Before that nobody hears a keyboard, and there is nothing yet that
 * could be shut down.
 */
const BOOT = { kvm: 500, tcg: 4000 };

/** How often is looked whether a kernel works for itself, and how many milliseconds lie between. */
const BOOT_SAMPLES = 5;
const BOOT_INTERVAL = 20;

/** Share of a processor, beyond twice what the guest took before, that means that it is at work. */
const WORKING = 0.02;

/** Share of a processor above which more work could not be seen. */
const BUSY = 0.5;

/**
 * Asks a guest to shut down, by its monitor's control socket:
 *
 * 1. the power button, if its kernel wants to hear of it. What it does then is its own business for
 *    as long as the caller waits, provided that it does anything;
 * 2. Ctrl-Alt-Delete: Linux then either restarts at once, which ends the guest, or tells init. One that
 *    still boots is busy and would be taken for one that shuts down: it is not asked.
 *
 * It takes 2.4 s at most, half of which only when the guest heeds neither, and 1.5 s with one that
 * rests; twice that where the guest has to wait for a processor, and 4 s more where the monitor has to
 * before it answers (`Patience`).
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
      if (outcome !== "deaf") return outcome;
    } else if (await isBooting(guest, control, accelerator)) {
      return "deaf";
    }
    return await watch(guest, control, CTRL_ALT_DELETE, KEYS_BURST);
  } catch (error) {
    debug(`QMP: ${formatError(error)}`, { pid: guest.pid });
    // Whatever is wrong with the control socket, there is still a signal that ends the monitor. It
    // may also have ended right now, while it was asked.
    return "deaf";
  }
}

async function readAccelerator(control: Control): Promise<"kvm" | "tcg"> {
  const kvm = (await control.ask(qmpCommand("query-kvm"))).return;
  const isKvm = typeof kvm === "object" && kvm !== null && "enabled" in kvm && kvm.enabled === true;
  return isKvm ? "kvm" : "tcg";
}

/** Whether there is no init yet, as far as can be seen: where it cannot, there is one. */
async function isBooting(
  guest: RunningGuest,
  control: Control,
  accelerator: "kvm" | "tcg",
): Promise<boolean> {
  for (let sample = 0; sample < BOOT_SAMPLES; sample++) {
    if (sample > 0 && await workIn(guest, BOOT_INTERVAL) === "ended") return false;
    if ((readGuestTime(guest.pid)?.ran ?? Infinity) > BOOT[accelerator]) return false;
    if (!isInKernel(await control.ask(READ_REGISTERS))) return false;
  }
  return true;
}

/**
 * Does something to a guest and watches what comes of it. Whatever cannot be told from a reaction is
 * taken for one: the caller's patience decides.
 *
 * @param event what is done, a command for the monitor
 * @param burst processor time in milliseconds that is a reaction
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
  const first = await workIn(guest, WATCH.first);
  if (first === "ended") return "ended";
  if (before === undefined || first === undefined) return "stopping";
  const usual = before / WATCH.before;
  if (usual > BUSY || first - usual * WATCH.first > burst) return "stopping";
  if (await hasRun(control, program)) return "stopping";
  const then = await workIn(guest, WATCH.then);
  if (then === "ended") return "ended";
  if (then === undefined || then / WATCH.then > 2 * usual + WORKING) return "stopping";
  return await hasRun(control, program) ? "stopping" : "deaf";
}

/** A moment of a guest's before anything is done to it. */
interface Rest {
  /** The last program that had run by then; undefined when it cannot be told, or others ran meanwhile. */
  program?: string;
  /** As of `workIn`. */
  work: number | "ended" | undefined;
}

/**
 * Waits for a moment in which the guest only rests, or does what it always does: one that has just
 * become ready, or whose programs wake up every now and then, may hide a reaction behind such work.
 *
 * @returns the calmest of several moments when there is none: its programs tell nothing then, only how
 *   much they work
 */
async function watchAtRest(guest: RunningGuest, control: Control): Promise<Rest> {
  let calmest: number | undefined;
  for (let moment = 1;; moment++) {
    const program = await readProgram(control);
    const work = await workIn(guest, WATCH.before);
    if (work === "ended" || work === undefined) return { work };
    calmest = Math.min(work, calmest ?? work);
    if (await readProgram(control) === program) return { program, work };
    if (moment === MOMENTS) return { work: calmest };
  }
}

/** Undefined when it cannot be read: the guest is to be asked all the same. */
async function readProgram(control: Control): Promise<string | undefined> {
  const answer = await control.ask(READ_REGISTERS).catch(() => undefined);
  return answer === undefined ? undefined : lastProgram(answer);
}

/** Whether a program has run since `program` did; so it is, too, when there is no answer any more. */
async function hasRun(control: Control, program: string | undefined): Promise<boolean> {
  return program !== undefined && await readProgram(control) !== program;
}

/**
 * Processor time of the guest in the next so many milliseconds in which it does not wait for a processor.
 *
 * @returns undefined when it cannot be told, or waited for too long
 */
async function workIn(
  { pid, pidfd }: RunningGuest,
  milliseconds: number,
): Promise<number | "ended" | undefined> {
  const time = new WaitingTime(() => readGuestTime(pid));
  for (let left = milliseconds;;) {
    const [events] = await pollAsync(
      [{ fd: pidfd, events: POLLIN }],
      Math.min(left, WATCH_INTERVAL),
    );
    if (events !== 0) return "ended";
    const { elapsed, ran, waited } = time.look();
    // Without accounts there is nothing to look at meanwhile, but its end.
    if (ran === undefined) {
      left = milliseconds - elapsed;
      if (left < 1) return undefined;
      continue;
    }
    // The threads of its processors are ending, and the monitor is about to.
    if (ran < 0) return undefined;
    const served = elapsed - waited;
    left = Math.min(milliseconds - served, milliseconds * PATIENCE.times - elapsed);
    if (left >= 1) continue;
    return served < milliseconds * PATIENCE.share ? undefined : ran;
  }
}
