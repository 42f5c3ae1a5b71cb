/** Reads the JUnit report that `deno test --junit-path` writes. */
import { splitAnotherNodeName, splitSkipName } from "./skip.ts";

/** One test as it ended. */
export interface TestOutcome {
  name: string;
  /** The test's file, as the report names it. */
  file: string;
  outcome: "passed" | "failed" | "skipped";
  /** Why it was skipped. */
  reason?: string;
  /** It passed, and had not in an earlier node (tests/vm). */
  anotherNode?: true;
}

/**
 * The tests in a report.
 *
 * @throws Error when the text is not a whole report: a run that was killed may leave a part
 */
export function parseJunit(xml: string): TestOutcome[] {
  const tests: TestOutcome[] = [];
  let current: TestOutcome | undefined;
  let whole = false;
  const bare = xml.replace(/<!\[CDATA\[[\s\S]*?\]\]>/g, "");
  for (const match of bare.matchAll(/<(\/?)([\w-]+)((?:\s+[\w:-]+="[^"]*")*)\s*(\/?)>/g)) {
    const [, closing, tag, attributes = "", empty] = match;
    if (tag === "testsuites" && (closing || empty)) whole = true;
    if (tag === "testcase" && !closing) {
      const { name, anotherNode } = splitAnotherNodeName(attribute(attributes, "name"));
      current = { name, file: attribute(attributes, "classname"), outcome: "passed" };
      if (anotherNode) current.anotherNode = true;
      tests.push(current);
    }
    if (current && (tag === "failure" || tag === "error")) current.outcome = "failed";
    if (current && tag === "skipped") {
      const { name, reason } = splitSkipName(current.name);
      current.outcome = "skipped";
      current.name = name;
      current.reason = reason ?? "its file does not say why";
    }
    if (tag === "testcase" && (closing || empty)) current = undefined;
  }
  if (!whole) throw new Error("the report is not complete");
  return tests;
}

const ENTITIES: Record<string, string> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

function attribute(attributes: string, name: string): string {
  const value = new RegExp(`\\s${name}="([^"]*)"`).exec(attributes)?.[1] ?? "";
  return value.replace(/&(?:#x([0-9a-fA-F]+)|#(\d+)|(\w+));/g, (all, hex, decimal, word) => {
    if (hex) return String.fromCodePoint(parseInt(hex, 16));
    if (decimal) return String.fromCodePoint(Number(decimal));
    return ENTITIES[word] ?? all;
  });
}
