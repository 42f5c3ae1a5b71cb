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

/** How much a monitor may send in one conversation, in bytes. Ours take less than 2 KiB, and have events. */
export const MAXIMUM_CONVERSATION = 64 * 1024;

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

/** Of an answer that a log may show whole. */
const SHORT_ANSWER = 100;

/** A command and what the monitor says then, for a log. */
export function describeExchange(command: string, message: QmpMessage): string {
  const answer = JSON.stringify(message);
  const shown = answer.length <= SHORT_ANSWER ? answer : `${answer.length} characters`;
  return `${command.trim()} → ${shown}`;
}

/** A port of the agent's device, whose socket is there already. */
export function portDevice(name: string): Record<string, string> {
  return {
    driver: "virtserialport",
    bus: "agent.0",
    chardev: `agent-${name}`,
    name: `urunc.${name}`,
  };
}

/** Adds one to a running machine. Its id is taken once it is there. */
export function addPortCommand(name: string): string {
  return qmpCommand("device_add", { ...portDevice(name), id: name });
}

/** Presses the machine's power button. */
export const POWER_BUTTON = qmpCommand("system_powerdown");
