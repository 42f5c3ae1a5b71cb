import { arch } from "../../arch/arch.ts";
import { Place, rawObject } from "../../decode/decode.ts";
import { HostError } from "../../errors.ts";

/**
 * QEMU's control protocol: JSON objects, one per line in each direction.
 *
 * The monitor may be hostile: what it sends is limited here and not trusted. At worst its guest is
 * terminated sooner or later than necessary.
 *
 * @see https://www.qemu.org/docs/master/interop/qmp-spec.html
 */

/**
 * How much a monitor may send in one conversation, in bytes. Ours take less than 170 KiB: 20 times the
 * registers, which are up to 8 KiB with AVX-512.
 */
export const MAXIMUM_CONVERSATION = 256 * 1024;

const NEWLINE = 0x0a;

/** An object from the monitor, not yet checked. */
export type QmpMessage = Record<string, unknown>;

/** A request, ready to be sent. */
export function qmpCommand(execute: string, parameters?: Record<string, unknown>): string {
  return JSON.stringify(
    parameters === undefined ? { execute } : { execute, arguments: parameters },
  ) + "\n";
}

/** Splits received bytes into messages. */
export class QmpReader {
  #bytes = 0;
  #rest = "";
  readonly #decoder = new TextDecoder();

  /**
   * @param chunk as it arrived
   * @returns the messages that it completes
   * @throws HostError when it is not QMP, or exceeds {@linkcode MAXIMUM_CONVERSATION}
   */
  feed(chunk: Uint8Array): QmpMessage[] {
    this.#bytes += chunk.length;
    if (this.#bytes > MAXIMUM_CONVERSATION) {
      throw malformed(`it is more than ${MAXIMUM_CONVERSATION} bytes`);
    }
    this.#rest += this.#decoder.decode(chunk, { stream: true });
    // A monitor may send byte by byte: a line is searched for its end only once.
    if (!chunk.includes(NEWLINE)) return [];
    const lines = this.#rest.split("\n");
    this.#rest = lines.pop()!;
    return lines.filter((line) => line.trim() !== "").map(parseMessage);
  }
}

function parseMessage(line: string): QmpMessage {
  let message: unknown;
  try {
    message = JSON.parse(line);
  } catch {
    throw malformed("a line is not JSON");
  }
  return rawObject(message, MESSAGE);
}

function malformed(reason: string): HostError {
  return new HostError({ operation: "read what the monitor sent", reason });
}

const MESSAGE = new Place({ error: (_, reason) => malformed(reason) });

/** Of an answer that a log may show whole: registers, which are longer, are the guest's own business. */
const SHORT_ANSWER = 100;

/** A command and what the monitor says then, for a log. */
export function describeExchange(command: string, message: QmpMessage): string {
  const answer = JSON.stringify(message);
  const shown = answer.length <= SHORT_ANSWER ? answer : `${answer.length} characters`;
  return `${command.trim()} → ${shown}`;
}

/** Presses the machine's power button. */
export const POWER_BUTTON = qmpCommand("system_powerdown");

/**
 * Ctrl-Alt-Delete on the machine's keyboard. Linux restarts at once, unless init has asked for a signal
 * instead (`LINUX_REBOOT_CMD_CAD_OFF`, reboot(2)), as those of systemd, SysV, OpenRC and busybox do.
 */
export const CTRL_ALT_DELETE = qmpCommand("send-key", {
  keys: ["ctrl", "alt", "delete"].map((data) => ({ type: "qcode", data })),
});

/** Reads the enable register of the power management events. QMP itself has no command for it. */
export const READ_ENABLED_EVENTS = qmpCommand("human-monitor-command", {
  "command-line": arch.qemu.readEnabledEvents,
});

/**
 * Whether a guest's kernel handles the power button.
 *
 * @param answer to {@linkcode READ_ENABLED_EVENTS}
 * @returns true when the answer cannot be read: asking a guest in vain takes only a second
 */
export function wantsPowerButton(answer: QmpMessage): boolean {
  const [, value] = /= 0x([0-9a-f]{1,8})\s*$/.exec(textOf(answer)) ?? [];
  // All ones: nothing answers at that port, because the firmware has not set it up yet.
  if (value !== undefined && /^f+$/.test(value)) return false;
  return value === undefined || (parseInt(value, 16) & arch.qemu.powerButtonEnabled) !== 0;
}

/** Reads the registers of the first processor. */
export const READ_REGISTERS = qmpCommand("human-monitor-command", {
  "command-line": "info registers",
});

/**
 * Whether a guest's kernel is at work for itself.
 *
 * @param answer to {@linkcode READ_REGISTERS}
 * @returns false when it cannot be read
 */
export function isInKernel(answer: QmpMessage): boolean {
  return arch.qemu.isInKernel(textOf(answer));
}

/**
 * Identifies the last program that ran in a guest.
 *
 * @param answer to {@linkcode READ_REGISTERS}
 * @returns something to compare; undefined when it cannot be read
 */
export function lastProgram(answer: QmpMessage): string | undefined {
  return arch.qemu.lastProgram(textOf(answer));
}

/** Anything but a text, which these commands answer with, cannot be read. */
function textOf({ return: value }: QmpMessage): string {
  return typeof value === "string" ? value : "";
}
