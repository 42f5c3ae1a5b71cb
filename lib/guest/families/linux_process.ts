import { InvalidConfigurationError } from "../../errors.ts";
import type { AgentRoot } from "../initrd/process.ts";
import type { GuestProcess } from "../initrd/segment.ts";
import { keyPrefix } from "../keys.ts";
import type { GuestInput } from "../types.ts";
import { rootOf } from "./linux_root.ts";
import { splitArguments } from "./quote.ts";

/** MAX_ARG_STRLEN in linux/binfmts.h, 32 pages, the closing NUL included. */
const STRING_BYTES = 32 * 4096;

/**
 * All strings of an execve and the pointers to them: a quarter of the stack's limit, which is 8 MiB
 * for init (fs/exec.c, _STK_LIM in linux/resource.h), less a page for the program's path.
 */
const ALL_BYTES = 8 * 1024 * 1024 / 4 - 4096;
const POINTER_BYTES = 8;

/** The environment that the Linux kernel gives init itself (init/main.c). */
const PRESET = ["HOME=/", "TERM=linux"];

/** Where a Linux kernel looks for its init first, in a RAM disk and on any other root (init/main.c). */
export const DEFAULT_INIT = "/init";
const DEFAULT_ROOT_INIT = "/sbin/init";

const OPERATION = "pass arguments and environment";

/**
 * What the guest runs, for its initial RAM disk: any text, of any length that execve takes.
 *
 * @throws InvalidConfigurationError naming what cannot be passed, and its length if it is too long
 */
export function processOf(input: GuestInput): GuestProcess {
  const { network, furtherNetworks, resolvConf, hosts, agent, copies = [] } = input;
  const root = agentRootOf(input);
  const env = new Map<string, string>();
  // An agent gives the program what config.json has, and no more.
  if (agent === undefined) { for (const entry of PRESET) env.set(nameOf(entry), entry); }
  input.env.forEach((entry, index) => {
    if (entry.indexOf("=") <= 0) throw refused(`process.env[${index}]`, "not NAME=VALUE");
    env.set(nameOf(entry), entry);
  });
  const process: GuestProcess = {
    args: argumentsOf(input),
    env: [...env.values()],
    ...(network === undefined ? {} : { network }),
    ...(furtherNetworks === undefined ? {} : { furtherNetworks }),
    ...(network === undefined || resolvConf === undefined ? {} : { resolvConf }),
    ...(agent === undefined ? {} : { agent }),
    ...(agent === undefined || hosts === undefined ? {} : { hosts }),
    ...(agent === undefined || root === undefined ? {} : { root }),
    ...(agent === undefined || copies.length === 0 ? {} : { copies }),
  };
  check(process);
  return process;
}

/** What an agent makes the guest's root; undefined: that is the RAM disk. */
function agentRootOf(input: GuestInput): AgentRoot | undefined {
  if (input.sharedRoot !== undefined) return { readOnly: input.sharedRoot.readOnly };
  const disk = rootOf(input);
  return disk === undefined ? undefined : { disk: disk.name, readOnly: disk.readOnly };
}

/** The program and its arguments. */
export function argumentsOf(input: GuestInput): string[] {
  const { args: given, cmdline = "" } = input;
  const args = given.length > 0 ? given : splitArguments(cmdline, `${keyPrefix}cmdline`);
  if (args.length > 0) return args;
  return [agentRootOf(input) === undefined ? DEFAULT_INIT : DEFAULT_ROOT_INIT];
}

function nameOf(entry: string): string {
  return entry.slice(0, entry.indexOf("="));
}

/** Of a program's name: `docker run IMAGE ""`. */
export const EMPTY = {
  reason: "the name of the guest's program is empty",
  remedy: "name a program of the guest's, or give no arguments for its default",
};

function check({ args, env }: GuestProcess): void {
  if (args[0] === "") throw refused("process.args[0]", EMPTY.reason, EMPTY.remedy);
  let sum = 0;
  for (const [list, subject] of [[args, "process.args"], [env, "process.env"]] as const) {
    for (const text of list) {
      // Only the beginning, since it may be a secret.
      const what = `${subject}, ${JSON.stringify(text.slice(0, 20))}…`;
      if (text.includes("\0")) throw refused(what, "it contains a NUL character");
      const length = new TextEncoder().encode(text).length + 1;
      if (length > STRING_BYTES) {
        const most = STRING_BYTES - 1;
        throw refused(what, `it is ${length - 1} bytes long, and Linux takes at most ${most}`);
      }
      sum += length + POINTER_BYTES;
    }
  }
  if (sum > ALL_BYTES) {
    throw refused(
      "process.args and process.env",
      `they are ${sum} bytes long together, and Linux takes at most ${ALL_BYTES}`,
    );
  }
}

function refused(subject: string, reason: string, remedy?: string): InvalidConfigurationError {
  return new InvalidConfigurationError({ operation: OPERATION, subject, reason, remedy });
}
