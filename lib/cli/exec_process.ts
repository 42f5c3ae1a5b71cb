import { UsageError } from "../errors.ts";
import { capabilityNumber } from "../config/capabilities.ts";
import type { CapabilitySet, Process, User } from "../oci/types.ts";
import type { CommandOf } from "./parser/commands.ts";

type Options = Pick<
  CommandOf<"exec">,
  "rest" | "tty" | "user" | "cwd" | "env" | "additionalGids" | "cap" | "noNewPrivs"
>;

/** As runc gives them, when they are asked for by name. */
const GIVEN_SETS: CapabilitySet[] = ["bounding", "effective", "permitted"];

/** (uid_t) -1 stands for none. */
const LARGEST_ID = 2 ** 32 - 2;

/**
 * The process that options of `exec` describe.
 *
 * @param process the container's, of which they change a part
 * @throws UsageError naming the option
 */
export function processOf(process: Process, options: Options): Process {
  const { rest, tty, cwd, env, noNewPrivs } = options;
  return {
    ...process,
    args: rest,
    terminal: tty,
    consoleSize: undefined,
    user: userOf(process.user, options),
    cwd: cwd ?? process.cwd,
    env: [...process.env, ...env.map(checkVariable)],
    capabilities: capabilitiesOf(process.capabilities, options),
    noNewPrivileges: noNewPrivs || process.noNewPrivileges,
  };
}

function userOf(own: User, { user, additionalGids }: Options): User {
  const ids = (user ?? "").split(":");
  if (ids.length > 2) throw misuse("--user", user!, "not UID or UID:GID");
  const [uid, gid] = ids.map((text) => text === "" ? undefined : parseId("--user", text));
  return {
    ...own,
    uid: uid ?? own.uid,
    gid: gid ?? own.gid,
    additionalGids: [
      ...own.additionalGids,
      ...additionalGids.map((text) => parseId("--additional-gids", text)),
    ],
  };
}

function parseId(option: string, text: string): number {
  if (/^\d{1,10}$/.test(text) && Number(text) <= LARGEST_ID) return Number(text);
  throw misuse(option, text, "not a numeric id");
}

function checkVariable(text: string): string {
  if (/^[^=\0]+=[^\0]*$/s.test(text)) return text;
  throw misuse("--env", text, "not NAME=VALUE");
}

function capabilitiesOf(own: Process["capabilities"], { cap }: Options): Process["capabilities"] {
  if (cap.length === 0) return own;
  const wrong = cap.find((name) => capabilityNumber(name) === undefined);
  if (wrong !== undefined) throw misuse("--cap", wrong, "no such capability");
  const sets = GIVEN_SETS.map((set) => [set, [...new Set([...own?.[set] ?? [], ...cap])]]);
  return { ...own, ...Object.fromEntries(sets) };
}

function misuse(subject: string, text: string, reason: string): UsageError {
  return new UsageError({
    operation: "parse command line",
    subject,
    reason: `${JSON.stringify(text)} is ${reason}`,
    remedy: "see urunc exec --help",
  });
}
