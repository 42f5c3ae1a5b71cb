import type { CallGroup, Condition, Feature } from "./types.ts";

/** Conditions that must all hold. */
export type Clause = readonly Condition[];

/** Of each call that is allowed: one of the clauses must hold. An empty clause always does. */
export type CallRules = ReadonlyMap<string, readonly Clause[]>;

/** The groups that a container with these features has, call by call. */
export function rulesOf(groups: readonly CallGroup[], features: readonly Feature[]): CallRules {
  const rules = new Map<string, Clause[]>();
  for (const { calls, where = [], when, omitted } of groups) {
    if (omitted || (when !== undefined && !features.includes(when))) continue;
    for (const name of calls.split(" ")) rules.set(name, joined(rules.get(name) ?? [], where));
  }
  return rules;
}

/** Lists of what the same argument may be become one, which is searched faster. */
function joined(clauses: Clause[], added: Clause): Clause[] {
  const [only, ...more] = added;
  if (more.length > 0 || only === undefined || !("among" in only)) return [...clauses, added];
  const same = clauses.findIndex(([first, ...others]) =>
    others.length === 0 && first !== undefined && "among" in first &&
    first.argument === only.argument
  );
  if (same < 0) return [...clauses, added];
  const { argument, among } = clauses[same]![0] as typeof only;
  return clauses.with(same, [{ argument, among: [...among, ...only.among] }]);
}
