import { commands, type CommandSpec } from "./parser/commands.ts";
import { globalOptions, type OptionSpec, type OptionSpecs } from "./parser/options.ts";

/** Shells that `urunc completion` knows. */
export const shells = ["bash", "zsh", "fish"] as const;

export type Shell = typeof shells[number];

/**
 * A script that completes commands, options, their values and container ids; made from the parser's
 * tables. Ids are those of the `--root` that was typed before the command.
 */
export function completionScript(shell: Shell): string {
  switch (shell) {
    case "bash":
      return bashScript();
    case "zsh":
      // zsh reads bash's completions, once its own are set up.
      return [
        "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }",
        `autoload -Uz +X bashcompinit && bashcompinit\n${bashScript()}`,
      ].join("\n");
    case "fish":
      return fishScript();
  }
}

const entries: [string, CommandSpec][] = Object.entries(commands);
const verbs = entries.map(([verb]) => verb);

function optionNames(specs: OptionSpecs): string[] {
  return Object.values(specs).flatMap(({ names }) => names);
}

/** Fixed arguments of a command, besides ids. */
function knownWords(positionals: CommandSpec["positionals"]): readonly string[] {
  if ("shell" in positionals) return shells;
  return Object.values(positionals).flatMap((it) => it.words ?? []);
}

function bashScript(): string {
  const cases = entries.map(([verb, { options, positionals }]) => {
    const words = [...knownWords(positionals), ...optionNames(options), "--help"].join(" ");
    const ids = "id" in positionals
      ? ' $(urunc "${COMP_WORDS[@]:1:$((i - 1))}" list --quiet 2>/dev/null)'
      : "";
    return `    ${verb}) words="${words}${ids}" ;;`;
  });
  const values = [["", { options: globalOptions }] as const, ...entries].flatMap(
    ([verb, { options }]) =>
      Object.values<OptionSpec>(options).flatMap((spec) => {
        if (spec.kind === "flag") return [];
        const patterns = spec.names.map((name) => `"${verb} ${name}"`).join("|");
        // Nothing of ours: then the shell offers files.
        const words = spec.kind === "choice" ? spec.choices.join(" ") : "";
        return [`    ${patterns}) words="${words}" ;;`];
      }),
  );
  return [
    "_urunc() {",
    '  local word="${COMP_WORDS[COMP_CWORD]}" verb="" words i',
    "  for ((i = 1; i < COMP_CWORD; i++)); do",
    '    case "${COMP_WORDS[i]}" in',
    `      ${[...verbs, "help"].join("|")}) verb="\${COMP_WORDS[i]}"; break ;;`,
    "    esac",
    "  done",
    '  case "$verb" in',
    ...cases,
    `    help) words="${verbs.join(" ")}" ;;`,
    `    *) words="${[...verbs, "help", ...optionNames(globalOptions), "--help"].join(" ")}" ;;`,
    "  esac",
    '  case "$verb ${COMP_WORDS[COMP_CWORD-1]}" in',
    ...values,
    "  esac",
    '  COMPREPLY=($(compgen -W "$words" -- "$word"))',
    "}",
    "complete -o default -F _urunc urunc",
    "",
  ].join("\n");
}

function fishScript(): string {
  const lines = [
    "function __urunc_ids",
    "  set -l globals",
    "  for word in (commandline -opc)[2..]",
    `    contains -- $word ${verbs.join(" ")}; and break`,
    "    set -a globals $word",
    "  end",
    "  urunc $globals list --quiet 2>/dev/null",
    "end",
    "complete -c urunc -f",
    `complete -c urunc -n __fish_use_subcommand -a help -d ${quote("Show help.")}`,
    `complete -c urunc -n '__fish_seen_subcommand_from help' -a '${verbs.join(" ")}'`,
    `complete -c urunc -s h -l help -d ${quote("Show help.")}`,
  ];
  for (const [verb, { summary, options, positionals }] of entries) {
    const seen = `__fish_seen_subcommand_from ${verb}`;
    lines.push(`complete -c urunc -n __fish_use_subcommand -a ${verb} -d ${quote(summary)}`);
    if ("id" in positionals) {
      lines.push(`complete -c urunc -n '${seen}' -a '(__urunc_ids)'`);
    }
    for (const word of knownWords(positionals)) {
      lines.push(`complete -c urunc -n '${seen}' -a ${word}`);
    }
    lines.push(...fishOptions(options, `-n '${seen}'`));
  }
  lines.push(...fishOptions(globalOptions, "-n __fish_use_subcommand"));
  return lines.join("\n") + "\n";
}

function fishOptions(specs: OptionSpecs, condition: string): string[] {
  return Object.values(specs).map((spec) => {
    const names = spec.names.map((name) =>
      name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`
    );
    const value = spec.kind === "flag"
      ? ""
      : spec.kind === "choice"
      ? ` -x -a '${spec.choices.join(" ")}'`
      : " -r -F";
    return `complete -c urunc ${condition} ${names.join(" ")}${value} -d ${quote(spec.help)}`;
  });
}

function quote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
