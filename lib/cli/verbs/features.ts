import { describeFeatures } from "../../oci/features.ts";
import type { CommandOf } from "../parser/commands.ts";
import type { Context } from "../context.ts";
import { printJson } from "../../output.ts";

/**
 * `urunc features`
 *
 * @see https://github.com/opencontainers/runtime-spec/blob/v1.2.0/features.md
 */
export function features(_command: CommandOf<"features">, _context: Context): number {
  printJson(describeFeatures());
  return 0;
}
