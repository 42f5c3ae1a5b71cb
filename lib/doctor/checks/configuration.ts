import type { IdRange, NodeFacts } from "../facts.ts";
import { replaceIn } from "./fix.ts";
import { type Line, Lines } from "./types.ts";

/** The configuration file: mistakes with their lines, and what of the Go implementation's is ignored. */
export function checkConfigurationFile(
  { configuration, subordinateIds, rangeOwner }: NodeFacts,
): Line[] {
  const lines = new Lines("config");
  const { path, isThere, findings, values } = configuration;
  if (!isThere) lines.ok(`there is no ${path}: the defaults hold`);
  for (const { kind, line, subject, reason, remedy } of findings) {
    const where = line === undefined ? path : `${path}:${line}`;
    const text = `${where}: ${subject === "" ? "" : `${subject}: `}${reason}`;
    const fix = remedy ?? `correct it; urunc config check ${path} says more`;
    if (kind === "error") lines.fail(text, correctSpelling(path, subject, fix, line) ?? fix);
    else lines.warn(`${text}`, `remove ${subject} from ${path}`);
  }
  if (isThere && findings.length === 0) lines.ok(`${path} is valid`);
  if (rangeOwner !== undefined) {
    lines.fail(
      `ids.range = "${values.ids.range}": ${rangeOwner} has some of these ids, and no container starts`,
      `choose a range that is nobody's for ids.range in ${path}, beside those of /etc/subuid and /etc/subgid`,
    );
  }
  const user = values.ids.default_user;
  if (user !== undefined) checkDefaultUser(user, subordinateIds, path, lines);
  return lines.lines;
}

/** @returns a command, where the remedy of a finding is another spelling of its key */
function correctSpelling(
  path: string,
  subject: string,
  remedy: string,
  line: number | undefined,
): string | undefined {
  const [, right] = /^did you mean "(\w+)"\?$/.exec(remedy) ?? [];
  const [wrong] = /\w+$/.exec(subject) ?? [];
  if (right === undefined || wrong === undefined || line === undefined) return undefined;
  return replaceIn(path, wrong, right, line);
}

function checkDefaultUser(
  user: string,
  ranges: readonly IdRange[],
  path: string,
  lines: Lines,
): void {
  const uid = Number(user.split(":")[0]);
  const range = ranges.find(({ start, count }) => uid >= start && uid < start + count);
  if (range === undefined) return;
  lines.warn(
    `ids.default_user = "${user}" is in the range ${range.start}:${range.count} that /etc/subuid gives ` +
      `${range.name}: processes in a user namespace of ${range.name} could signal monitors`,
    `choose an id outside of all ranges in /etc/subuid for ids.default_user in ${path}`,
  );
}

/** What is left of containers. */
export function checkContainers({ containers }: NodeFacts): Line[] {
  const lines = new Lines("containers");
  const damaged = containers.filter(({ status }) => status === "damaged");
  const stopped = containers.filter(({ status }) => status === "stopped");
  const others = containers.length - damaged.length - stopped.length;
  lines.ok(containers.length === 0 ? "none" : `${others} of ${containers.length} have not stopped`);
  for (const { root, id } of damaged) {
    lines.fail(
      `${id} in ${root} is damaged: its creator was killed, or its state cannot be read`,
      `urunc --root ${root} delete --force ${id}`,
    );
  }
  for (const { root, id } of stopped) {
    lines.warn(
      `${id} in ${root} has stopped, and was not deleted`,
      `urunc --root ${root} delete ${id}`,
    );
  }
  return lines.lines;
}
