import type { CommandOf } from "../parser/commands.ts";
import { completionScript, type Shell, shells } from "../completion.ts";
import { UsageError } from "../../errors.ts";
import { print } from "../../output.ts";

/** `urunc completion` */
export function completion({ shell }: CommandOf<"completion">): number {
  if (!shells.includes(shell as Shell)) {
    throw new UsageError({
      operation: "write completion",
      subject: shell,
      reason: "not a supported shell",
      remedy: `known: ${shells.join(", ")}`,
    });
  }
  print(completionScript(shell as Shell));
  return 0;
}
