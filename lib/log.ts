import { formatError } from "./errors.ts";
import { readableStack } from "./os/stack.ts";
import { sendToSyslog } from "./os/syslog.ts";
import { printError } from "./output.ts";
import { formatJson } from "./printable.ts";

/** Where and how log lines are written. */
export interface LogOptions {
  /** Undefined: standard error. */
  file?: string;
  format: "text" | "json";
  debug: boolean;
}

type Level = "debug" | "info" | "warning" | "error";

/** What a line says beside its message, under names of its own: `ms` is a duration in milliseconds. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/**
 * Log lines in the form that callers of an OCI runtime parse: containerd, docker and podman show
 * the last line of level `error` of the JSON log to the user.
 */
export class Logger {
  readonly #options: LogOptions;

  constructor(options: LogOptions) {
    this.#options = options;
  }

  debug(message: string, fields?: LogFields): void {
    if (this.#options.debug) this.#write("debug", message, fields);
  }

  info(message: string): void {
    this.#write("info", message);
  }

  /**
   * A program that names a log file reads errors in it, and no warnings; and docker's shim removes the
   * file. So standard error gets them, which of a `create` is the container's (a guest itself has only
   * an output: `docker logs` shows them beside it), and the system's log does for every command.
   */
  warning(message: string): void {
    if (this.#options.file !== undefined) {
      printError(`urunc: warning: ${formatError(message)}\n`);
      sendToSyslog(`warning: ${formatError(message)}`);
    }
    this.#write("warning", message);
  }

  /** Standard error gets errors always: a person looks there, whatever the log file is. */
  error(error: unknown): void {
    const message = formatError(error);
    if (this.#options.file !== undefined) printError(`urunc: ${message}\n`);
    this.#write("error", message);
    if (this.#options.debug && error instanceof Error && error.stack !== undefined) {
      this.#write("debug", readableStack(error.stack));
    }
  }

  /** A person has mistyped, and reads it; a program that has finds it in its log file, too. */
  misuse(error: unknown): void {
    const message = formatError(error);
    printError(`urunc: ${message}\n`);
    if (this.#options.file !== undefined) this.#write("error", message);
  }

  #write(level: Level, message: string, fields?: LogFields): void {
    const line = formatLine(this.#options.format, level, message, new Date(), fields);
    if (this.#options.file === undefined) {
      printError(line);
      return;
    }
    try {
      Deno.writeTextFileSync(this.#options.file, line, { append: true, mode: 0o644 });
    } catch (error) {
      printError(`urunc: write log ${this.#options.file}: ${formatError(error)}\n${line}`);
    }
  }
}

/**
 * One log line, newline included; `text` is logfmt as logrus writes it.
 *
 * @param fields written after the message; those that are undefined are left out
 */
export function formatLine(
  format: "text" | "json",
  level: Level,
  message: string,
  time: Date,
  fields: LogFields = {},
): string {
  // RFC 3339 with seconds, as the callers' parsers expect.
  const stamp = time.toISOString().replace(/\.\d+Z$/, "Z");
  if (format === "json") {
    return formatJson({ level, msg: message, time: stamp, ...fields }) + "\n";
  }
  const words = Object.entries(fields).filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${formatValue(value!)}`);
  return `time=${formatJson(stamp)} level=${level} msg=${formatJson(message)}` +
    `${words.join("")}\n`;
}

/** Quoted where a reader of logfmt would see more than one word, as logrus does. */
function formatValue(value: string | number | boolean): string {
  const text = String(value);
  return /^[\w.+/@^-]+$/.test(text) ? text : formatJson(text);
}
