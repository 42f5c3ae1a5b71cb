import { InvalidConfigurationError } from "../../errors.ts";
import { keyPrefix } from "../keys.ts";
import type { GuestInput } from "../types.ts";
import { splitArguments } from "./quote.ts";

/** The arguments of a guest, and where they come from. */
export interface GuestArguments {
  args: string[];
  /** Names one of them in an error. */
  subject(index: number): string;
}

/**
 * The container's arguments, or those in the image's `cmdline` when it has none.
 *
 * @throws InvalidConfigurationError when a double quote in `cmdline` is not closed
 */
export function argumentsOf({ args, cmdline = "" }: GuestInput): GuestArguments {
  if (args.length > 0) return { args, subject: (index) => `process.args[${index}]` };
  const key = `${keyPrefix}cmdline`;
  return { args: splitArguments(cmdline, key), subject: () => key };
}

/**
 * An error about a text that a guest's notation cannot express.
 *
 * @param subject where it comes from
 * @param found the text
 */
export function inexpressible(
  subject: string,
  found: string,
  reason: string,
): InvalidConfigurationError {
  return new InvalidConfigurationError({
    operation: "write the guest's command line",
    subject,
    reason: `${JSON.stringify(found.slice(0, 80))}: ${reason}`,
  });
}
