/** A line of a report. */
export interface Line {
  /** What was checked: `kvm`, `docker`. */
  check: string;
  /** `fail`: guests cannot run, or not by this way. `warn`: something is missing that not all need. */
  status: "ok" | "warn" | "fail";
  /** What was found, as a sentence. */
  text: string;
  /** What mends it: a command for a shell where there is one. */
  fix?: string;
}

/** The lines of one topic. */
export class Lines {
  readonly lines: Line[] = [];
  readonly #check: string;

  constructor(check: string) {
    this.#check = check;
  }

  ok(text: string): void {
    this.#add("ok", text);
  }

  warn(text: string, fix?: string): void {
    this.#add("warn", text, fix);
  }

  fail(text: string, fix?: string): void {
    this.#add("fail", text, fix);
  }

  #add(status: Line["status"], text: string, fix?: string): void {
    this.lines.push({ check: this.#check, status, text, ...(fix === undefined ? {} : { fix }) });
  }
}
