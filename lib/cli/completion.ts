import { commands, type CommandSpec } from "./commands.ts";
import { globalOptions, type OptionSpecs } from "./options.ts";

/** Shells that `urunc completion` knows. */
export const shells = ["bash", "zsh", "fish"] as const;

export type Shell = typeof shells[number];

/** A script that completes commands, options and container ids; made from the parser's tables. */
export function completionScript(shell: Shell): string {
  switch (shell) {
    case "bash":
      return bashScript();
    case "zsh":
      // zsh reads bash's completions.
      return `autoload -U +X bashcompinit && bashcompinit\n${bashScript()}`;
    case "fish":
      return fishScript();
  }
}

const entries: [string, CommandSpec][] = Object.entries(commands);

function optionNames(specs: OptionSpecs): string[] {
  return Object.values(specs).flatMap(({ names }) => names);
}

function bashScript(): string {
  const verbs = entries.map(([verb]) => verb);
  const cases = entries.map(([verb, { options, positionals }]) => {
    const words = [...optionNames(options), "--help"].join(" ");
    const ids = "id" in positionals ? " $(urunc list --quiet 2>/dev/null)" : "";
    return `    ${verb}) words="${words}${ids}" ;;`;
  });
  return [
    "_urunc() {",
    '  local word="${COMP_WORDS[COMP_CWORD]}" verb="" words i',
    "  for ((i = 1; i < COMP_CWORD; i++)); do",
    '    case "${COMP_WORDS[i]}" in',
    `      ${verbs.join("|")}) verb="\${COMP_WORDS[i]}"; break ;;`,
    "    esac",
    "  done",
    '  case "$verb" in',
    ...cases,
    `    *) words="${[...verbs, "help", ...optionNames(globalOptions), "--help"].join(" ")}" ;;`,
    "  esac",
    '  COMPREPLY=($(compgen -W "$words" -- "$word"))',
    "}",
    "complete -o default -F _urunc urunc",
    "",
  ].join("\n");
}

function fishScript(): string {
  const lines = ["complete -c urunc -f"];
  for (const [verb, { summary, options, positionals }] of entries) {
    const seen = `__fish_seen_subcommand_from ${verb}`;
    lines.push(`complete -c urunc -n __fish_use_subcommand -a ${verb} -d ${quote(summary)}`);
    if ("id" in positionals) {
      lines.push(`complete -c urunc -n '${seen}' -a '(urunc list --quiet 2>/dev/null)'`);
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
