import { commands, type CommandSpec, type Verb } from "./parser/commands.ts";
import { globalOptions, type OptionSpec, type OptionSpecs } from "./parser/options.ts";
import { isRefusedVerb, type RefusedVerb, refusedVerbs } from "./refused.ts";

/** Width of the left column of help. */
const TERM_WIDTH = 28;

/** The help text of the program, or of one command. */
export function helpText(verb: Verb | RefusedVerb | undefined): string {
  if (verb === undefined) return programHelp();
  return isRefusedVerb(verb) ? refusedHelp(verb) : commandHelp(verb, commands[verb]);
}

function programHelp(): string {
  const verbs = Object.entries(commands).map(([verb, spec]): [string, string] => [
    verb,
    spec.summary,
  ]);
  return [
    "urunc: an OCI runtime that runs unikernels and small Linux guests as containers.",
    "",
    "Usage: urunc [global options] COMMAND [options] [ID]",
    "",
    "Commands:",
    ...verbs.map(([verb, summary]) => row(verb, summary)),
    row(
      "help [COMMAND]",
      "Show this help, or a command's; help spec: how config.json is handled.",
    ),
    ...Object.entries(refusedVerbs).map(([verb, { summary }]) => row(verb, summary)),
    "",
    "Global options:",
    ...optionRows(globalOptions),
    row("-v, --version", "Show the version."),
    row("-h, --help", "Show this help."),
    "",
    "The monitor runs as the container's user, without other groups or capabilities; state shows what",
    "was verified. Exit codes: 1 on failure, 2 for a usage error; run exits with the guest's code.",
    "",
  ].join("\n");
}

function commandHelp(verb: Verb, spec: CommandSpec): string {
  const positionals = Object.values(spec.positionals);
  const words = [
    ...positionals.map((it) => it.default === undefined ? it.metavar : `[${it.metavar}]`),
    ...(spec.rest === undefined ? [] : [`[${spec.rest.metavar}...]`]),
  ];
  const options = Object.keys(spec.options).length === 0 ? [] : ["[options]"];
  return [
    `Usage: urunc [global options] ${[verb, ...options, ...words].join(" ")}`,
    "",
    spec.summary,
    "",
    ...[...positionals, ...(spec.rest === undefined ? [] : [spec.rest])].map((it) =>
      row(it.metavar, it.default ? `${it.help} Default: ${it.default}.` : it.help)
    ),
    ...optionRows(spec.options),
    row("-h, --help", "Show this help."),
    "",
  ].join("\n");
}

function refusedHelp(verb: RefusedVerb): string {
  const { reason, remedy } = refusedVerbs[verb];
  return `Usage: none. urunc refuses ${verb}: ${reason}.\n\nInstead, ${remedy}.\n`;
}

function optionRows(specs: OptionSpecs): string[] {
  return Object.values(specs).map((spec) => row(termOf(spec), helpOf(spec)));
}

function termOf(spec: OptionSpec): string {
  const names = spec.names.join(", ");
  if (spec.kind === "flag") return names;
  return `${names} ${spec.kind === "choice" ? spec.choices.join("|") : spec.metavar}`;
}

function helpOf(spec: OptionSpec): string {
  const shown = spec.kind === "choice" || (spec.kind === "text" && spec.default?.startsWith("/"));
  return shown ? `${spec.help} Default: ${spec.default}.` : spec.help;
}

function row(term: string, help: string): string {
  return term.length < TERM_WIDTH - 2
    ? `  ${term.padEnd(TERM_WIDTH - 2)}${help}`
    : `  ${term}\n${" ".repeat(TERM_WIDTH)}${help}`;
}
