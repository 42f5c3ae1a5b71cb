import { formatError } from "./errors.ts";
import { printError } from "./output.ts";

/** Where and how log lines are written. */
export interface LogOptions {
  /** Undefined: standard error. */
  file?: string;
  format: "text" | "json";
  debug: boolean;
}

type Level = "debug" | "info" | "warning" | "error";

/**
 * Log lines in the form that callers of an OCI runtime parse: containerd, docker and podman show
 * the last line of level `error` of the JSON log to the user.
 */
export class Logger {
  readonly #options: LogOptions;

  constructor(options: LogOptions) {
    this.#options = options;
  }

  debug(message: string): void {
    if (this.#options.debug) this.#write("debug", message);
  }

  info(message: string): void {
    this.#write("info", message);
  }

  warning(message: string): void {
    this.#write("warning", message);
  }

  /** Standard error gets errors always: a person looks there, whatever the log file is. */
  error(error: unknown): void {
    const message = formatError(error);
    if (this.#options.file !== undefined) printError(`urunc: ${message}\n`);
    this.#write("error", message);
    if (this.#options.debug && error instanceof Error && error.stack !== undefined) {
      this.#write("debug", error.stack);
    }
  }

  /** A person has mistyped, and reads it; a program that has finds it in its log file, too. */
  misuse(error: unknown): void {
    const message = formatError(error);
    printError(`urunc: ${message}\n`);
    if (this.#options.file !== undefined) this.#write("error", message);
  }

  #write(level: Level, message: string): void {
    const line = formatLine(this.#options.format, level, message, new Date());
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

/** One log line, newline included; `text` is logfmt as logrus writes it. */
export function formatLine(
  format: "text" | "json",
  level: Level,
  message: string,
  time: Date,
): string {
  // RFC 3339 with seconds, as the callers' parsers expect.
  const stamp = time.toISOString().replace(/\.\d+Z$/, "Z");
  if (format === "json") return JSON.stringify({ level, msg: message, time: stamp }) + "\n";
  return `time=${JSON.stringify(stamp)} level=${level} msg=${JSON.stringify(message)}\n`;
}
