import { checkNode } from "../../doctor/checks/checks.ts";
import { compareFacts } from "../../doctor/checks/compare.ts";
import type { Line } from "../../doctor/checks/types.ts";
import { type NodeFacts, REPORT_VERSION } from "../../doctor/facts.ts";
import { surveyNode } from "../../doctor/survey/survey.ts";
import { errorMessage, InvalidConfigurationError, UsageError } from "../../errors.ts";
import type { Credentials } from "../../host/access.ts";
import { readBounded } from "../../os/files.ts";
import { resolvePath } from "../../os/path.ts";
import { print, printJson } from "../../output.ts";
import { FAILURE } from "../exit_codes.ts";
import type { CommandOf } from "../parser/commands.ts";
import { requireRoot } from "../require_root.ts";
import { formatTable } from "../table.ts";

/** More than any report has. Bytes. */
const LONGEST_REPORT = 16 * 1024 * 1024;

/** What `--json` prints. */
interface Report {
  version: number;
  lines: Line[];
  facts: NodeFacts;
}

/** `urunc doctor` */
export async function doctor(command: CommandOf<"doctor">): Promise<number> {
  const who = parseUser(command);
  if (command.compare !== undefined) return await compare(command, command.compare);
  refuseFile(command);
  const facts = await survey(command);
  const lines = checkNode(facts, who);
  if (command.json) printJson({ version: REPORT_VERSION, lines, facts } satisfies Report);
  else print(formatReport(lines));
  return lines.some(({ status }) => status === "fail") ? FAILURE : 0;
}

async function survey({ config, root }: CommandOf<"doctor">): Promise<NodeFacts> {
  requireRoot("check this node", "to others a node looks different than to what runs containers");
  return await surveyNode({
    root: resolvePath(Deno.cwd(), root),
    ...(config === undefined ? {} : { config }),
  });
}

/** As diff(1): 1 when there is a difference. */
async function compare(command: CommandOf<"doctor">, file: string): Promise<number> {
  const one = readReport(file);
  // As a file has it: without what is undefined.
  const other = command.other === ""
    ? JSON.parse(JSON.stringify(await survey(command)))
    : readReport(command.other);
  const differences = compareFacts(one, other);
  if (command.json) printJson(differences);
  else if (differences.length === 0) print("no differences\n");
  else {
    const rows = differences.map((it) => [it.path, format(it.one), format(it.other)]);
    print(formatTable(["FACT", file, command.other || "this node"], rows));
  }
  return differences.length === 0 ? 0 : FAILURE;
}

function format(value: unknown): string {
  return value === undefined ? "-" : JSON.stringify(value);
}

function readReport(file: string): NodeFacts {
  const operation = "read report";
  const fail = (reason: string, cause?: unknown) =>
    new InvalidConfigurationError({
      operation,
      subject: file,
      reason,
      remedy: "urunc doctor --json writes one",
      cause,
    });
  const text = new TextDecoder().decode(readBounded(file, LONGEST_REPORT, { operation }));
  let report: Partial<Report>;
  try {
    report = JSON.parse(text);
  } catch (error) {
    throw fail(errorMessage(error), error);
  }
  if (report?.version !== REPORT_VERSION || report.facts === undefined) {
    throw fail(`not a report of version ${REPORT_VERSION}`);
  }
  return report.facts;
}

/** `fail  kvm   /dev/kvm does not exist`, and the remedy below it. */
function formatReport(lines: Line[]): string {
  const width = Math.max(...lines.map(({ check }) => check.length));
  const rows = lines.flatMap(({ status, check, text, fix }) => [
    `${status.padEnd(4)}  ${check.padEnd(width)}  ${text}`,
    ...fix === undefined ? [] : [`${" ".repeat(width + 8)}fix: ${fix}`],
  ]);
  const count = (status: Line["status"]) => lines.filter((it) => it.status === status).length;
  return `${rows.join("\n")}\n\n${count("ok")} ok, ${count("warn")} warn, ${count("fail")} fail\n`;
}

function parseUser({ user, groups }: CommandOf<"doctor">): Credentials {
  const [, uid, gid = uid] = /^(\d{1,10})(?::(\d{1,10}))?$/.exec(user) ?? [];
  if (uid === undefined) throw misuse("--user", user, "UID:GID, two numbers");
  const list = groups === undefined ? [] : groups.split(",");
  if (list.some((it) => !/^\d{1,10}$/.test(it))) {
    throw misuse("--groups", groups!, "GID,GID,…, numbers");
  }
  return { uid: Number(uid), gid: Number(gid), groups: list.map(Number) };
}

function misuse(option: string, value: string, allowed: string): UsageError {
  return new UsageError({
    operation: "parse command line",
    subject: option,
    reason: `${JSON.stringify(value)} is not ${allowed}`,
    remedy: "urunc doctor --help",
  });
}

function refuseFile({ other }: CommandOf<"doctor">): void {
  if (other === "") return;
  throw new UsageError({
    operation: "parse command line",
    subject: "doctor",
    reason: `${JSON.stringify(other)} is an unexpected argument`,
    remedy: "urunc doctor --help; --compare compares two reports",
  });
}
