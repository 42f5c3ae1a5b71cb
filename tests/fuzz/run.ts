/** Runs targets: a number of cases, or for a time. */
import * as fc from "fast-check";
import type { Target } from "./target.ts";
import { CONFIGURATIONS } from "./targets/configuration.ts";
import { CONFIG_JSON } from "./targets/config_json.ts";
import { DESCRIPTIONS } from "./targets/description.ts";
import { HOST_TEXTS } from "./targets/host_texts.ts";
import { KERNELS } from "./targets/kernels.ts";
import { PROTOCOLS } from "./targets/protocols.ts";
import { RELAYS } from "./targets/relay.ts";
import { STATES } from "./targets/state.ts";

/** Everything that is parsed and comes from outside. */
export const TARGETS: readonly Target[] = [
  ...CONFIG_JSON,
  ...DESCRIPTIONS,
  ...CONFIGURATIONS,
  ...STATES,
  ...KERNELS,
  ...PROTOCOLS,
  ...HOST_TEXTS,
  ...RELAYS,
];

/**
 * Gives a target so many inputs.
 *
 * @param seed the same seed gives the same inputs
 * @returns undefined, or what was wrong: the smallest input that was found, and the error
 */
export async function runTarget(
  { inputs, check }: Target,
  { seed, cases }: { seed: number; cases: number },
): Promise<string | undefined> {
  const property = fc.asyncProperty(inputs, async (input) => {
    const checked = check(input);
    if (checked !== undefined) await checked;
  });
  const details = await fc.check(property, { seed, numRuns: cases });
  if (!details.failed) return undefined;
  const { errorInstance } = details;
  const error = errorInstance instanceof Error ? errorInstance.stack : errorInstance;
  return `${await fc.asyncDefaultReportMessage(details)}\n${error}`;
}

/** The cases of a target, of so many of all together. */
export function casesOf({ weight }: Target, all: number): number {
  const sum = TARGETS.reduce((sum, it) => sum + it.weight, 0);
  return Math.ceil(all * weight / sum);
}
