import assert from "node:assert/strict";
import { commands, type CommandSpec } from "../../../../lib/cli/parser/commands.ts";
import { helpText } from "../../../../lib/cli/help.ts";
import { specTableText } from "../../../../lib/cli/help_spec.ts";
import { parseCommandLine } from "../../../../lib/cli/parser/parse.ts";
import { specTable } from "../../../../lib/oci/spec_table.ts";
import { parseSpec } from "../../../../lib/oci/parse.ts";
import { specTemplate } from "../../../../lib/oci/template.ts";
import { validate } from "../../../../lib/oci/validate.ts";

Deno.test("a command line is parsed", async (t) => {
  const rows: [args: string[], expected: Record<string, unknown>][] = [
    [["state", "a"], { verb: "state", id: "a", root: "/run/urunc", logFormat: "text" }],
    [["--root", "/r", "--log=/l", "--log-format", "json", "start", "a"], {
      verb: "start",
      root: "/r",
      log: "/l",
      logFormat: "json",
    }],
    [["create", "--bundle", "/b", "--pid-file", "/p", "a"], {
      verb: "create",
      bundle: "/b",
      pidFile: "/p",
      id: "a",
      noNewKeyring: false,
    }],
    [["create", "a", "-b", "/b", "--no-new-keyring"], {
      id: "a",
      bundle: "/b",
      noNewKeyring: true,
    }],
    [["create", "--preserve-fds", "0", "a"], { preserveFds: 0 }],
    [["kill", "--all", "a", "9"], { id: "a", signal: "9", all: true }],
    [["kill", "a"], { signal: "SIGTERM", all: false }],
    [["delete", "-f", "a"], { force: true }],
    [["list", "--format=json", "-q"], { format: "json", quiet: true }],
    [["state", "--", "-odd-id"], { id: "-odd-id" }],
  ];
  for (const [args, expected] of rows) {
    await t.step(args.join(" "), () => {
      const parsed = parseCommandLine(args);
      assert.equal(parsed.kind, "command");
      for (const [key, value] of Object.entries(expected)) {
        assert.deepEqual(
          (parsed as unknown as { command: Record<string, unknown> }).command[key],
          value,
          key,
        );
      }
    });
  }
});

Deno.test("the error for a wrong command line names the argument and the right form", async (t) => {
  const rows: [args: string[], message: RegExp][] = [
    [[], /no command is given/],
    [["strat", "a"], /strat.*no such command.*"start"/],
    [["ls"], /ls.*no such command; see list/],
    [["stop", "a"], /stop.*no such command; see kill/],
    [["type", "a"], /type.*no such command; known: create/],
    [["run", "--rm", "a"], /--rm.*no such option; see run --help: .*deletes the container/],
    [["--rot", "/x", "state", "a"], /--rot.*"--root"/],
    [["create", "--bundel", "/x", "a"], /--bundel.*"--bundle"/],
    [["create"], /needs ID.*create --help/],
    [["start", "a", "b"], /"b" is an unexpected argument/],
    [["list", "--format", "yaml"], /"yaml" is not one of table, json/],
    [["create", "--preserve-fds", "x", "a"], /"x" is not a number/],
    [["create", "a", "--bundle"], /--bundle: it needs a value/],
    [["create", "--no-pivot=1", "a"], /--no-pivot: it takes no value/],
    [["--root", "", "list"], /--root: its value is empty/],
    [["help", "nothing"], /nothing: no such command/],
  ];
  for (const [args, message] of rows) {
    await t.step(args.join(" ") || "nothing", () => {
      assert.throws(() => parseCommandLine(args), { name: "UsageError", message });
    });
  }
});

Deno.test("exec takes the words after the id as they are, and options more than once", () => {
  const words = ["-e", "A=1", "--env=B=2", "-t", "x", "ls", "--help", "--", "-e", "C=3"];
  const parsed = parseCommandLine(["exec", ...words]);
  assert.ok(parsed.kind === "command" && parsed.command.verb === "exec");
  const { env, tty, cap, id, rest } = parsed.command;
  assert.deepEqual([env, tty, cap, id], [["A=1", "B=2"], true, [], "x"]);
  assert.deepEqual(rest, ["ls", "--help", "--", "-e", "C=3"]);
});

Deno.test("checkpoint and restore are refused, whatever follows", () => {
  for (const verb of ["checkpoint", "restore"]) {
    const parsed = parseCommandLine(["--root", "/r", verb, "--process", "/x", "--any", "a"]);
    assert.equal(parsed.kind, "refused");
  }
});

Deno.test("help shows every command and option", () => {
  const whole = helpText(undefined);
  for (const [verb, spec] of Object.entries(commands) as [keyof typeof commands, CommandSpec][]) {
    assert.ok(whole.includes(spec.summary), verb);
    const own = helpText(verb);
    for (const option of Object.values(spec.options)) {
      for (const name of option.names) assert.ok(own.includes(name), `${verb} ${name}`);
    }
  }
});

Deno.test("help spec has every row of the table", () => {
  const text = specTableText();
  for (const { property, how } of specTable) {
    assert.ok(text.includes(property) && text.includes(how), property);
  }
});

Deno.test("the template of a spec is valid", () => {
  const spec = parseSpec(JSON.stringify(specTemplate()));
  validate(spec);
  assert.deepEqual(spec.unsupported, { refused: [], warned: [] });
});
