import { readConsole } from "../../container/console.ts";
import { UsageError } from "../../errors.ts";
import { print } from "../../output.ts";
import { replaceSteering } from "../../printable.ts";
import type { CommandOf } from "../parser/commands.ts";
import type { Context } from "../context.ts";

/** `urunc logs --console`: the guest's kernel's console. The program's output belongs to the caller. */
export function logs(command: CommandOf<"logs">, context: Context): number {
  if (!command.console) {
    throw new UsageError({
      operation: "parse command line",
      subject: "logs",
      reason: "the output of the container's program is kept by what has started it",
      remedy: "docker logs, kubectl logs; --console prints the console of the guest's kernel",
    });
  }
  print(formatConsole(readConsole(context.store.open(command.id))));
  return 0;
}

/** As text that a terminal shows and does not obey. Lines of a serial console end with a carriage return, too. */
export function formatConsole(bytes: Uint8Array): string {
  const text = new TextDecoder().decode(bytes).replaceAll("\r\n", "\n");
  return replaceSteering(text, (it) => it === "\n" || it === "\t" ? it : "?");
}
