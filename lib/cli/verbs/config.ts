import { checkConfiguration, type Finding } from "../../config/check.ts";
import { type EffectiveValue, effectiveValues } from "../../config/effective.ts";
import { UsageError } from "../../errors.ts";
import { CONFIGURATION_PATH, readConfigurationText } from "../../host/configuration.ts";
import { print, printJson } from "../../output.ts";
import { FAILURE } from "../exit_codes.ts";
import type { CommandOf } from "../parser/commands.ts";
import { formatTable } from "../table.ts";

/** `urunc config`: shows what holds on this node, or checks a file. */
export async function config(command: CommandOf<"config">): Promise<number> {
  switch (command.action) {
    case "show":
      refuseFile(command);
      return await show(command);
    case "check":
      return await check(command);
    default:
      throw new UsageError({
        operation: "parse command line",
        subject: "config",
        reason: `${JSON.stringify(command.action)} is not an action`,
        remedy: "known: show, check",
      });
  }
}

function refuseFile({ file }: CommandOf<"config">): void {
  if (file === "") return;
  throw new UsageError({
    operation: "parse command line",
    subject: "config show",
    reason: `${JSON.stringify(file)} is an unexpected argument`,
    remedy: "--config, before the command, names another file",
  });
}

/** Values as TOML has them: strings, numbers, booleans and arrays look the same in JSON. */
async function show(command: CommandOf<"config">): Promise<number> {
  const path = command.config ?? CONFIGURATION_PATH;
  const toml = readConfigurationText(command.config);
  const values = await effectiveValues(toml ?? "");
  if (command.format === "json") {
    printJson(
      values.map((it) => ({ key: it.key, value: it.value ?? null, from: originOf(it, path) })),
    );
  } else {
    const rows = values.map((it) => [
      it.key,
      JSON.stringify(it.value) ?? "",
      originOf(it, path),
    ]);
    print(formatTable(["KEY", "VALUE", "FROM"], rows));
  }
  return 0;
}

function originOf({ origin, line }: EffectiveValue, path: string): string {
  if (origin === "default") return origin;
  return line === undefined ? path : `${path}:${line}`;
}

async function check(command: CommandOf<"config">): Promise<number> {
  const named = command.file === "" ? command.config : command.file;
  const path = named ?? CONFIGURATION_PATH;
  const toml = readConfigurationText(named);
  const findings = toml === undefined ? [] : await checkConfiguration(toml);
  if (command.format === "json") printJson(findings);
  else if (findings.length > 0) {
    print(findings.map((it) => `${formatFinding(path, it)}\n`).join(""));
  } else print(`${path}: ${toml === undefined ? "no such file: the defaults hold" : "valid"}\n`);
  return findings.some(({ kind }) => kind === "error") ? FAILURE : 0;
}

/** `FILE:LINE: error: KEY: REASON (REMEDY)`, as compilers write it. */
function formatFinding(path: string, { kind, line, subject, reason, remedy }: Finding): string {
  const where = line === undefined ? path : `${path}:${line}`;
  const about = subject === "" ? "" : ` ${subject}:`;
  return `${where}: ${kind}:${about} ${reason}${remedy === undefined ? "" : ` (${remedy})`}`;
}
