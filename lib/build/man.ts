/**
 * Writes the manual pages: `deno run -A lib/build/man.ts [DIRECTORY]`, by default `dist/man`. They are
 * generated from the tables that the parsers of the command line and of the configuration use, like
 * help and completion.
 */
import { arch } from "../arch/arch.ts";
import { join, resolve } from "pathe";
import config from "../../deno.json" with { type: "json" };
import { commands, type CommandSpec } from "../cli/parser/commands.ts";
import {
  DEFAULT_ROOT,
  globalOptions,
  type OptionSpec,
  type OptionSpecs,
  type PositionalSpec,
} from "../cli/parser/options.ts";
import { refusedVerbs } from "../cli/refused.ts";
import {
  configurationKeys,
  configurationTables,
  firmwareKey,
  type KeySpec,
  monitorKeys,
} from "../config/keys.ts";
import { CONFIGURATION_PATH } from "../host/configuration.ts";
import { monitorByName, monitorNames } from "../monitor/registry.ts";
import { shimActions, shimFlags, shimTexts } from "../shim/command/arguments.ts";
import { roffExample, roffHead, roffParagraph, roffSection, roffTerm, roffText } from "./roff.ts";

/** A manual page. */
export interface ManualPage {
  /** With its section: `urunc.8`. */
  name: string;
  text: string;
}

/** All pages. */
export function manualPages(): ManualPage[] {
  return [
    { name: "urunc.8", text: page(uruncPage()) },
    { name: "urunc-config.5", text: page(configurationPage()) },
    { name: "containerd-shim-urunc-v2.8", text: page(shimPage()) },
  ];
}

function page(lines: string[]): string {
  return lines.join("\n") + "\n";
}

function uruncPage(): string[] {
  return [
    roffHead("urunc", 8, config.version),
    ...name("urunc", "run unikernels and small Linux guests as containers"),
    ...roffSection("SYNOPSIS", ".B urunc", roffText("[global options] COMMAND [options] [ID]")),
    ...roffSection(
      "DESCRIPTION",
      roffText(
        "urunc is an OCI runtime. docker, podman and containerd call it like runc. Instead of a " +
          "process it starts a virtual machine monitor (QEMU, Firecracker, Solo5) that boots the " +
          "guest found in the image, described by /urunc.json or by annotations.",
      ),
      ...roffParagraph(
        "The monitor runs as the container's user, with exactly its supplementary groups and " +
          "without capabilities; the state command shows what was proven.",
      ),
    ),
    ...roffSection("GLOBAL OPTIONS", ...options(globalOptions)),
    ...roffTerm("-v, --version", "Show the version."),
    ...roffTerm("-h, --help", "Show help; after a command, the command's."),
    ...roffSection("COMMANDS", ...Object.entries(commands).flatMap(command)),
    ...roffTerm("help [COMMAND]", "Show help. help spec lists how config.json is handled."),
    ...roffSection(
      "COMMANDS THAT ARE REFUSED",
      ...Object.entries(refusedVerbs).flatMap(([verb, { reason, remedy }]) =>
        roffTerm(verb, `${capitalise(reason)}. Instead, ${remedy}.`)
      ),
    ),
    ...roffSection(
      "EXIT STATUS",
      ...roffTerm("0", "Success."),
      ...roffTerm("1", "The command failed; the error is on standard error and in the log."),
      ...roffTerm("2", "The command line is wrong."),
    ),
    ...roffParagraph("run exits with the guest's code."),
    ...roffSection(
      "FILES",
      ...roffTerm(CONFIGURATION_PATH, "The operator's configuration, see urunc-config(5)."),
      ...roffTerm(DEFAULT_ROOT, "State of containers, unless --root names another directory."),
    ),
    ...seeAlso("urunc-config(5), containerd-shim-urunc-v2(8), runc(8), qemu(1)"),
  ];
}

function command([verb, spec]: [string, CommandSpec]): string[] {
  const named: PositionalSpec[] = Object.values(spec.positionals);
  const words = named.map((it) => it.default === undefined ? it.metavar : `[${it.metavar}]`);
  if (spec.rest !== undefined) words.push(`[${spec.rest.metavar}...]`);
  const positionals = spec.rest === undefined ? named : [...named, spec.rest];
  const hasOptions = Object.keys(spec.options).length > 0;
  return [
    ...roffTerm([verb, ...hasOptions ? ["[options]"] : [], ...words].join(" "), spec.summary),
    ".RS",
    ...positionals.flatMap(({ metavar, help, default: usual }) =>
      roffTerm(metavar, help, ...usual ? [`Default: ${usual}.`] : [])
    ),
    ...options(spec.options),
    ".RE",
  ];
}

function options(specs: OptionSpecs): string[] {
  return Object.values(specs).flatMap((spec) =>
    roffTerm(termOf(spec), spec.help, ...defaultOf(spec))
  );
}

function termOf(spec: OptionSpec): string {
  const names = spec.names.join(", ");
  if (spec.kind === "flag") return names;
  return `${names} ${spec.kind === "choice" ? spec.choices.join("|") : spec.metavar}`;
}

function defaultOf(spec: OptionSpec): string[] {
  const isShown = spec.kind === "choice" || (spec.kind === "text" && spec.default?.startsWith("/"));
  return isShown ? [`Default: ${spec.default}.`] : [];
}

function configurationPage(): string[] {
  return [
    roffHead("urunc-config", 5, config.version),
    ...name("urunc-config", "the configuration of urunc"),
    ...roffSection(
      "DESCRIPTION",
      roffText(
        `${CONFIGURATION_PATH}, or the file that --config names, is in TOML. Every key is optional. ` +
          "A key that is not listed here, or a value that is not allowed, is an error, and no guest " +
          "starts.",
      ),
    ),
    ...roffSection("KEYS", ...keys("", configurationKeys)),
    ...Object.entries(configurationTables).flatMap(([table, specs]) =>
      roffSection(`TABLE [${table}]`, ...keys(`${table}.`, specs))
    ),
    ...roffSection(
      "TABLES [monitors.NAME]",
      roffText(`NAME is one of ${monitorNames().join(", ")}.`),
      ...keys("monitors.NAME.", monitorKeys),
    ),
    ...roffSection("TABLES [monitors.NAME.firmware]", ...firmwareTerms()),
    ...roffSection(
      "EXAMPLE",
      ...roffExample([
        'device_access = "private"',
        'accelerator = "kvm"',
        "",
        "[monitors.qemu]",
        `path = "/opt/qemu/bin/${arch.qemu.binaryNames[0]}"`,
        'data_paths = ["/opt/qemu/share"]',
      ]),
    ),
    ...seeAlso("urunc(8), containerd-shim-urunc-v2(8), capabilities(7)"),
  ];
}

/** Of the monitors that start a kernel by firmware. */
function firmwareTerms(): string[] {
  return monitorNames().flatMap((name) =>
    keys(
      `monitors.${name}.firmware.`,
      Object.fromEntries(
        Object.keys(monitorByName(name).firmware ?? {}).map((kind) => [kind, firmwareKey]),
      ),
    )
  );
}

function keys(prefix: string, specs: Record<string, KeySpec>): string[] {
  return Object.entries(specs).flatMap(([key, spec]) =>
    roffTerm(`${prefix}${key}`, spec.help, valuesOf(spec))
  );
}

function valuesOf(spec: KeySpec): string {
  switch (spec.kind) {
    case "choice": {
      const values = spec.choices.map((it) => `"${it}"`).join(", ");
      return `Values: ${values}. Default: "${spec.default}".`;
    }
    case "integer":
      return `Values: ${spec.minimum} to ${spec.maximum}.` +
        (spec.default === undefined ? "" : ` Default: ${spec.default}.`);
    case "boolean":
      return `Values: true, false. Default: ${spec.default}.`;
    case "text": {
      const usual = spec.default === undefined ? "" : ` Default: "${spec.default}".`;
      return `Value: ${spec.form.allowed}.${usual}`;
    }
    case "texts":
      return `Value: a list; each: ${spec.form.allowed}.`;
  }
}

function shimPage(): string[] {
  const term = (metavar: string) => ([option, help]: [string, string]) =>
    roffTerm(`-${option}${metavar}`, help);
  return [
    roffHead("containerd-shim-urunc-v2", 8, config.version),
    ...name("containerd-shim-urunc-v2", "containerd's shim for unikernels and small Linux guests"),
    ...roffSection("SYNOPSIS", ".B containerd\\-shim\\-urunc\\-v2", roffText("[options] ACTION")),
    ...roffSection(
      "DESCRIPTION",
      roffText(
        "The urunc executable under this name is a containerd shim (version 2). containerd finds it " +
          "on its PATH as the runtime type io.containerd.urunc.v2 and calls it; people do not.",
      ),
      ...roffParagraph(
        "A pod's containers share a shim. Those that are not guests are run by the OCI runtime that " +
          "the configuration names.",
      ),
    ),
    ...roffSection(
      "ACTIONS",
      ...Object.entries(shimActions).flatMap(([action, help]) => roffTerm(action, help)),
    ),
    ...roffSection(
      "OPTIONS",
      ...Object.entries(shimTexts).flatMap(term(" VALUE")),
      ...Object.entries(shimFlags).flatMap(term("")),
    ),
    ...roffSection(
      "FILES",
      ...roffTerm(CONFIGURATION_PATH, "The operator's configuration, see urunc-config(5)."),
      ...roffTerm("/run/containerd/s", "Sockets of shims."),
      ...roffTerm("/run/containerd/urunc/NAMESPACE", "State of guests: urunc --root … list."),
    ),
    ...seeAlso("urunc(8), urunc-config(5), containerd(8), ctr(8)"),
  ];
}

function name(of: string, summary: string): string[] {
  return roffSection("NAME", `${roffText(of)} \\- ${roffText(summary)}`);
}

function seeAlso(pages: string): string[] {
  return roffSection("SEE ALSO", roffText(pages));
}

function capitalise(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

if (import.meta.main) {
  const directory = resolve(
    Deno.args[0] ?? join(import.meta.dirname ?? ".", "../../dist/man"),
  );
  Deno.mkdirSync(directory, { recursive: true });
  for (const { name, text } of manualPages()) {
    Deno.writeTextFileSync(join(directory, name), text);
    console.log(join(directory, name));
  }
}
