import type { Step } from "./types.ts";

/**
 * What a log may say of a step's parameters: names, paths and numbers, in this order. Everything else stays
 * out of it, so that a new parameter does too: an argument vector, an environment, a file's content.
 */
const SHOWN = [
  "type",
  "types",
  "name",
  "namespaces",
  "key",
  "path",
  "source",
  "from",
  "target",
  "to",
  "file",
  "rule",
  "cgroup",
  "mountPoint",
  "address",
  "prefixLength",
  "profile",
  "keep",
  "capabilities",
  "kept",
  "passed",
  "gids",
  "uid",
  "gid",
  "soft",
  "hard",
  "value",
] as const;

/** Names of these are said where they are not obvious from the value. */
const NAMED = new Set(["kept", "passed", "uid", "gid", "soft", "hard"]);

/** A parameter that is a description of its own: a step's value is shown for this kind only. */
const VALUE_STEPS = new Set<Step["step"]>(["oomScoreAdj"]);

/** A step for a log, such as `mknod char /dev/kvm`: nothing of it is secret. */
export function describeStep(step: Step): string {
  const parameters = step as unknown as Record<string, unknown>;
  const words = SHOWN.filter((name) => name !== "value" || VALUE_STEPS.has(step.step))
    .filter((name) => parameters[name] !== undefined)
    .map((name) => (NAMED.has(name) ? `${name}=` : "") + formatParameter(parameters[name]));
  return [step.step, ...words].join(" ");
}

function formatParameter(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.join(",");
  // A terminal's receiver: its socket, or that it is the creator.
  if (typeof value === "object" && value !== null) {
    const { path, kind } = value as { path?: string; kind?: string };
    return String(path ?? kind);
  }
  return String(value);
}
