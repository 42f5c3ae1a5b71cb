import { InvalidConfigurationError } from "../errors.ts";
import { adoptGoUrunc, originalPaths } from "./go_urunc.ts";
import { keyLines, lineOf } from "./lines.ts";
import { parseToml, readConfiguration } from "./parse.ts";

/** What is wrong with a configuration file, or ignored of it. */
export interface Finding {
  /** `error`: no container starts with it. `warning`: it does nothing. */
  kind: "error" | "warning";
  /** From 1; undefined: it is not known. */
  line?: number;
  /** The key, or where a syntax error is; empty when the reason has it. */
  subject: string;
  reason: string;
  remedy?: string;
}

/** More mistakes than one file has; it only keeps a defect of ours from looping. */
const MOST_FINDINGS = 200;

/**
 * Checks a configuration file as a whole: all that is wrong, and not the first alone.
 *
 * @param toml the text of the file
 * @returns in the order of lines; none: the file is valid
 */
export async function checkConfiguration(toml: string): Promise<Finding[]> {
  let document: unknown;
  try {
    document = await parseToml(toml);
  } catch (error) {
    return [syntaxFinding(requireInvalid(error))];
  }
  const adopted = adoptGoUrunc(document);
  const lines = keyLines(toml);
  const findings: Finding[] = adopted.warnings.map((reason) => warningFinding(reason, lines));
  for (let error = firstError(adopted.document); error !== undefined;) {
    const { subject = "", reason, remedy } = error.parts;
    const line = lineOf(lines, originalPaths(subject));
    findings.push({
      kind: "error",
      ...(line === undefined ? {} : { line }),
      subject,
      reason,
      remedy,
    });
    const removed = removeKey(adopted.document, subject);
    error = removed && findings.length < MOST_FINDINGS ? firstError(adopted.document) : undefined;
  }
  return findings.sort((one, other) => (one.line ?? 0) - (other.line ?? 0));
}

function firstError(document: unknown): InvalidConfigurationError | undefined {
  try {
    readConfiguration({ document, warnings: [] });
    return undefined;
  } catch (error) {
    return requireInvalid(error);
  }
}

function requireInvalid(error: unknown): InvalidConfigurationError {
  if (error instanceof InvalidConfigurationError) return error;
  throw error;
}

function syntaxFinding({ parts }: InvalidConfigurationError): Finding {
  const [, line] = /^line (\d+)/.exec(parts.subject ?? "") ?? [];
  return {
    kind: "error",
    ...(line === undefined ? {} : { line: Number(line) }),
    subject: parts.subject ?? "",
    reason: parts.reason,
  };
}

/** Warnings are sentences: `the configuration's table log is ignored: …`. */
function warningFinding(reason: string, lines: ReadonlyMap<string, number>): Finding {
  const [, subject = "", rest] =
    /^the configuration's (?:table|key) (\S+) is (.*)$/s.exec(reason) ?? [];
  const line = lineOf(lines, originalPaths(subject));
  return {
    kind: "warning",
    ...(line === undefined ? {} : { line }),
    subject,
    reason: rest ?? reason,
  };
}

/** @returns false when there is nothing at that path */
function removeKey(document: unknown, path: string): boolean {
  const keys = [...path.matchAll(/([A-Za-z_][A-Za-z0-9_]*)|\["((?:[^"\\]|\\.)*)"\]/g)]
    .map(([, plain, quoted]) => plain ?? JSON.parse(`"${quoted}"`) as string);
  const last = keys.pop();
  const table = keys.reduce<unknown>(propertyOf, document);
  if (last === undefined || typeof table !== "object" || table === null) return false;
  return Object.hasOwn(table, last) && delete (table as Record<string, unknown>)[last];
}

function propertyOf(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined;
}
