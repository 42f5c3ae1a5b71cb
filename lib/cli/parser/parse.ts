import { suggestion } from "../../os/suggestion.ts";
import { UsageError } from "../../errors.ts";
import {
  type Command,
  commands,
  type CommandSpec,
  type GlobalOptions,
  type Verb,
} from "./commands.ts";
import {
  globalOptions,
  type OptionSpec,
  type OptionSpecs,
  type PositionalSpec,
} from "./options.ts";
import { isRefusedVerb, type RefusedVerb } from "../refused.ts";

/** What a command line asks for. */
export type ParsedCommandLine =
  | { kind: "command"; command: Command }
  /** `verb` undefined: the whole program. */
  | { kind: "help"; verb?: Verb | RefusedVerb }
  | { kind: "version" }
  | { kind: "refused"; verb: RefusedVerb; globals: GlobalOptions };

type Value = string | number | boolean | string[];

/**
 * Parses a command line: global options, the verb, its options and arguments in any order. `--name=value`
 * and `--name value` mean the same; after `--` everything is an argument.
 *
 * Our own parser, because every caller waits for it: the smallest library with types and help takes
 * longer to load than everything else that happens before the first system call.
 *
 * @throws UsageError naming the argument that is wrong, and the nearest right one
 */
export function parseCommandLine(args: string[]): ParsedCommandLine {
  const words = new Words(args);
  const globals = new Values(globalOptions);
  const verb = globals.takeUntilWord(words);
  if (globals.help) return { kind: "help" };
  if (globals.version) return { kind: "version" };
  if (verb === undefined) throw usage(undefined, "no command is given");
  if (verb === "help") return { kind: "help", verb: helpVerb(words) };
  if (isRefusedVerb(verb)) {
    // Only right after it. Whatever else follows changes nothing.
    if (isHelp(words.take())) return { kind: "help", verb };
    return { kind: "refused", verb, globals: globals.finish() as unknown as GlobalOptions };
  }
  if (!isVerb(verb)) throw unknown("command", verb, Object.keys(commands));

  const spec: CommandSpec = commands[verb];
  const values = new Values(spec.options);
  const positionals: string[] = [];
  for (let word = values.takeUntilWord(words); word !== undefined;) {
    positionals.push(word);
    if (spec.rest !== undefined && positionals.length === Object.keys(spec.positionals).length) {
      break;
    }
    word = values.takeUntilWord(words);
  }
  if (values.help) return { kind: "help", verb };
  const command = {
    verb,
    ...globals.finish(),
    ...values.finish(),
    ...assignPositionals(verb, spec, positionals),
    ...(spec.rest === undefined ? {} : { rest: words.takeAll() }),
  };
  // The tables are what the types were made from, so the values have them.
  return { kind: "command", command: command as unknown as Command };
}

/**
 * The global options of a wrong command line; the defaults when they are wrong themselves.
 *
 * @param args the arguments after the program's name
 */
export function parseGlobals(args: string[]): GlobalOptions {
  const globals = new Values(globalOptions);
  try {
    globals.takeUntilWord(new Words(args));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return new Values(globalOptions).finish() as unknown as GlobalOptions;
  }
  return globals.finish() as unknown as GlobalOptions;
}

/** The arguments that are still to be parsed. */
class Words {
  readonly #args: string[];
  #next = 0;
  /** After `--` nothing is an option. */
  onlyWords = false;

  constructor(args: string[]) {
    this.#args = args;
  }

  take(): string | undefined {
    return this.#args[this.#next++];
  }

  takeAll(): string[] {
    return this.#args.slice(this.#next);
  }
}

/** Options seen so far, of one table. */
class Values {
  help = false;
  version = false;
  readonly #specs: OptionSpecs;
  readonly #seen = new Map<string, Value>();

  constructor(specs: OptionSpecs) {
    this.#specs = specs;
  }

  /** Takes options up to and including the next argument, which is returned; undefined when none is left. */
  takeUntilWord(words: Words): string | undefined {
    for (let arg = words.take(); arg !== undefined; arg = words.take()) {
      if (words.onlyWords || arg === "-" || !arg.startsWith("-")) return arg;
      if (arg === "--") words.onlyWords = true;
      else this.#takeOption(arg, words);
    }
    return undefined;
  }

  finish(): Record<string, Value | undefined> {
    const values: Record<string, Value | undefined> = {};
    for (const [key, spec] of Object.entries(this.#specs)) {
      values[key] = this.#seen.get(key) ?? absent(spec);
    }
    return values;
  }

  #takeOption(arg: string, words: Words): void {
    if (isHelp(arg)) {
      this.help = true;
      return;
    }
    // Only where no option of that name is in the table: the global `-v`.
    const equals = arg.startsWith("--") ? arg.indexOf("=") : -1;
    const name = equals < 0 ? arg : arg.slice(0, equals);
    const entry = Object.entries(this.#specs).find(([, spec]) => spec.names.includes(name));
    if (entry === undefined) {
      if (this.#specs === globalOptions && (name === "-v" || name === "--version")) {
        this.version = true;
        return;
      }
      const names = Object.values(this.#specs).flatMap((spec) => spec.names);
      throw unknown("option", name, [...names, "--help", "--version"]);
    }
    const [key, spec] = entry;
    if (spec.kind === "flag") {
      if (equals >= 0) throw usage(name, "it takes no value");
      this.#seen.set(key, true);
      return;
    }
    const text = equals < 0 ? words.take() : arg.slice(equals + 1);
    if (text === undefined) throw usage(name, `it needs a value, ${describeValue(spec)}`);
    const value = parseValue(name, spec, text);
    const earlier = this.#seen.get(key) as string[] | undefined;
    this.#seen.set(key, spec.kind === "list" ? [...earlier ?? [], value as string] : value);
  }
}

function absent(spec: OptionSpec): Value | undefined {
  return spec.kind === "flag" ? false : spec.kind === "list" ? [] : spec.default;
}

function parseValue(name: string, spec: OptionSpec, text: string): Value {
  if (spec.kind === "choice" && !spec.choices.includes(text)) {
    throw usage(name, `${JSON.stringify(text)} is not ${describeValue(spec)}`);
  }
  if (spec.kind !== "count") {
    if (text === "") throw usage(name, "its value is empty");
    return text;
  }
  if (!/^\d{1,9}$/.test(text)) {
    throw usage(name, `${JSON.stringify(text)} is not ${describeValue(spec)}`);
  }
  return Number(text);
}

function describeValue(spec: OptionSpec): string {
  if (spec.kind === "choice") return `one of ${spec.choices.join(", ")}`;
  if (spec.kind === "count") return "a number, 0 or more";
  return spec.kind === "flag" ? "" : spec.metavar;
}

function assignPositionals(
  verb: Verb,
  { positionals }: CommandSpec,
  words: string[],
): Record<string, string> {
  const entries = Object.entries(positionals);
  if (words.length > entries.length) {
    throw usage(verb, `${JSON.stringify(words[entries.length])} is an unexpected argument`, verb);
  }
  return Object.fromEntries(
    entries.map(([key, spec]: [string, PositionalSpec], index) => {
      const word = words[index] ?? spec.default;
      if (word === undefined) throw usage(verb, `it needs ${spec.metavar}`, verb);
      return [key, word];
    }),
  );
}

function helpVerb(words: Words): Verb | RefusedVerb | undefined {
  const word = words.take();
  if (word === undefined || word === "help" || isHelp(word)) return undefined;
  if (!isVerb(word) && !isRefusedVerb(word)) throw unknown("command", word, Object.keys(commands));
  return word;
}

function isHelp(word: string | undefined): boolean {
  return word === "-h" || word === "--help";
}

function isVerb(word: string): word is Verb {
  return Object.hasOwn(commands, word);
}

/** What other programs call what this one can do. */
const MEANT: Readonly<Record<string, string>> = {
  check: "doctor",
  inspect: "state",
  ls: "list",
  rm: "delete",
  stats: "events",
  stop: "kill",
  top: "ps",
  unpause: "resume",
  "--rm": "run --help: without --detach it deletes the container when it has exited",
  "--name": "help: the id is an argument",
};

function unknown(kind: string, word: string, known: string[]): UsageError {
  const reason = `no such ${kind}`;
  if (Object.hasOwn(MEANT, word)) return usage(word, `${reason}; see ${MEANT[word]}`);
  return usage(word, known.length === 0 ? reason : `${reason}; ${suggestion(word, known)}`);
}

function usage(subject: string | undefined, reason: string, verb?: Verb): UsageError {
  return new UsageError({
    operation: "parse command line",
    subject,
    reason,
    remedy: verb === undefined ? "see urunc --help" : `see urunc ${verb} --help`,
  });
}
