/** Completion, in the shells themselves. */
import assert from "node:assert/strict";
import { commands } from "../../../lib/cli/parser/commands.ts";
import { completionScript, type Shell, shells } from "../../../lib/cli/completion.ts";
import { run } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";

/** Stands for the program: prints its arguments in place of ids. */
const LISTS_ARGUMENTS = '#!/bin/sh\nprintf "id%s-one\\nid%s-two\\n" "$2" "$2"\n';

/** What is typed, and what is offered; the last word is being typed. */
const CASES: [typed: string, offered: string[]][] = [
  ["urunc sta", ["start", "state"]],
  ["urunc --root /x delete --fo", ["--force"]],
  ["urunc --root /x delete id", ["id/x-one", "id/x-two"]],
  ["urunc list --format j", ["json"]],
  ["urunc --log-format te", ["text"]],
  ["urunc completion z", ["zsh"]],
  ["urunc help fea", ["features"]],
  ["urunc kill --he", ["--help"]],
];

/** A home of its own, with the script, and the stand-in on PATH. */
async function place(scope: Scope, shell: Shell) {
  const directory = await scope.temporaryDirectory(shell);
  await Deno.writeTextFile(`${directory}/script`, completionScript(shell));
  await Deno.writeTextFile(`${directory}/urunc`, LISTS_ARGUMENTS, { mode: 0o755 });
  const env = { HOME: directory, PATH: `${directory}:${Deno.env.get("PATH")}`, TERM: "dumb" };
  return { directory, env };
}

Deno.test("completions know every command", () => {
  for (const shell of shells) {
    const script = completionScript(shell);
    for (const verb of Object.keys(commands)) assert.ok(script.includes(verb), `${shell} ${verb}`);
  }
});

testIf("bash completes what is typed", {}, async () => {
  await using scope = new Scope();
  const { directory, env } = await place(scope, "bash");
  for (const [typed, offered] of CASES) {
    const words = typed.split(" ");
    const script = `. ${directory}/script; COMP_WORDS=(${words.join(" ")})
      COMP_CWORD=${words.length - 1}; _urunc; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = await run(["bash", "-c", script], { env, check: true });
    assert.deepEqual(stdout.trim().split("\n"), offered, typed);
  }
});

testIf("fish completes what is typed", { needs: ["fish"] }, async () => {
  await using scope = new Scope();
  const { directory, env } = await place(scope, "fish");
  for (const [typed, offered] of CASES) {
    const script = `source ${directory}/script; complete -C '${typed}'`;
    const { stdout } = await run(["fish", "--no-config", "-c", script], { env, check: true });
    const words = stdout.trim().split("\n").map((line) => line.split("\t")[0]);
    // Among them whatever has the typed letters anywhere.
    assert.deepEqual(words.filter((word) => word!.startsWith(typed.split(" ").at(-1)!)), offered);
  }
});

/**
 * zsh completes only what is typed at a terminal: it gets one, as a user's shell. Each line waits for
 * the list of what could be typed (Control-D), or completes what there is one of (Tab) and lets the
 * line be shown (Control-X).
 */
testIf("zsh completes what is typed", { needs: ["zsh"] }, async () => {
  await using scope = new Scope();
  const { directory, env } = await place(scope, "zsh");
  const lines = CASES.map(([typed, offered]) => {
    const before = typed.slice(0, typed.lastIndexOf(" ") + 1);
    return offered.length === 1
      ? `expect $'\\x15${typed}\\t\\x18' '<${before}${offered[0]} >'`
      : `expect $'\\x15${typed}\\x04' ${offered.map((it) => `'${it}'`).join(" ")}`;
  });
  const script = `
zmodload zsh/zpty
expect() {
  zpty -n -w shell "$1"; shift
  local text seen
  # By a pattern: otherwise it waits for the end of a line.
  for text in "$@"; do zpty -r shell seen "*$text*" || exit 1; done
}
zpty shell zsh -f -i
show='show() print "<$BUFFER>"; zle -N show; bindkey "^X" show'
# Not before the prompt is there does the terminal leave control characters alone.
expect "source ${directory}/script; $show; PS1=REA''DY"$'\\n' READY
${lines.join("\n")}
print done
`;
  const { stdout, stderr } = await run(["zsh", "-f", "-c", script], { env, timeoutSeconds: 20 });
  assert.equal(stdout, "done\n", stderr);
});
