import type { Configuration } from "../config/types.ts";
import { InvalidConfigurationError, UnsupportedError } from "../errors.ts";
import { quoteArgument, splitArguments } from "../guest/families/quote.ts";
import type { Guest } from "../guest/families/types.ts";
import { keyPrefix } from "../guest/keys.ts";
import type { UnikernelConfig } from "../guest/types.ts";

const KEY = `${keyPrefix}kernelParameters`;

/** Parameters that the runtime sets itself, and what says how. */
const OWN: Readonly<Record<string, string>> = {
  "--": "process.args",
  init: "process.args",
  rdinit: "process.args",
  root: `${keyPrefix}block and mountRootfs`,
  rootfstype: `${keyPrefix}block and mountRootfs`,
  ro: "root.readonly",
  rw: "root.readonly",
  ip: "the container's network",
  panic: "nothing: the container exits when its guest panics",
};

/**
 * Further parameters of a guest's kernel, as an image or a caller asks for.
 *
 * @returns a word each; undefined: none are asked for
 * @throws UnsupportedError when guests of this family take none
 * @throws InvalidConfigurationError naming a word that is not a parameter, that the runtime sets itself,
 *   or that the operator denies
 */
export function kernelParameters(
  { kernelParameters: asked }: Pick<UnikernelConfig, "kernelParameters">,
  { type, takesKernelParameters }: Guest,
  { denied_kernel_parameters: denied }: Pick<Configuration, "denied_kernel_parameters">,
): string[] | undefined {
  if (asked === undefined) return undefined;
  if (!takesKernelParameters) {
    throw new UnsupportedError({
      operation: "write the guest's command line",
      subject: KEY,
      reason: `${type} guests take no parameters of a Linux kernel`,
      remedy: "leave the key out",
    });
  }
  return splitArguments(asked, KEY).map((word) => {
    checkParameter(word, denied);
    return quoteArgument(word, KEY);
  });
}

function checkParameter(word: string, denied: readonly string[]): void {
  const name = word.split("=", 1)[0]!;
  if (!/^[A-Za-z0-9_.-]+$/.test(name)) {
    throw refused(word, "it is not NAME or NAME=VALUE", "see kernel-parameters.txt");
  }
  const own = Object.keys(OWN).find((it) => isSame(it, name));
  if (own !== undefined) {
    throw refused(word, "urunc sets it itself", `leave it out; it is set by ${OWN[own]}`);
  }
  const rule = denied.find((it) => matches(it, name));
  if (rule === undefined) return;
  throw refused(
    word,
    `the operator denies ${JSON.stringify(rule)}`,
    "denied_kernel_parameters in the configuration",
  );
}

/** The kernel takes `-` and `_` for the same (kernel/params.c, dash2underscore). */
function isSame(one: string, other: string): boolean {
  return canonical(one) === canonical(other);
}

function matches(rule: string, name: string): boolean {
  return rule.endsWith("*")
    ? canonical(name).startsWith(canonical(rule.slice(0, -1)))
    : isSame(rule, name);
}

function canonical(name: string): string {
  return name.replaceAll("-", "_");
}

function refused(word: string, reason: string, remedy: string): InvalidConfigurationError {
  return new InvalidConfigurationError({
    operation: "write the guest's command line",
    subject: `${KEY} ${JSON.stringify(word.slice(0, 80))}`,
    reason,
    remedy,
  });
}
