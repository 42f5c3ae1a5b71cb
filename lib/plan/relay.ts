import { processFile } from "../guest/initrd/process.ts";
import type { ExpectedIdentity } from "../host/identity.ts";
import type { Process } from "../oci/types.ts";
import { furtherProcess } from "./agent.ts";

/** Its argument's first word, by which the program knows what it is: lib/build/waiter/relay.h. */
const RELAY = "urunc-relay";

/** EXEC_REQUEST_MOST of lib/build/guest_init/exec_protocol.h: bytes that describe a process. */
export const REQUEST_BYTES = 1024 * 1024;

/** Numbers of its descriptors; the standard files come before them. */
export const RELAY_FDS = { socket: 3, request: 4, start: 5, lock: 6, filter: 7 } as const;

/** The arguments of the process that stands for a further process in a guest. */
export interface RelayInput {
  /** Whom it becomes. */
  identity: Pick<ExpectedIdentity, "uid" | "gid" | "groups">;
  terminal: boolean;
  filtered: boolean;
  /** The connection to the guest is to come by the one that it gets. */
  handed?: boolean;
}

/** The argument vector of a relay. */
export function relayArguments({ identity, terminal, filtered, handed }: RelayInput): string[] {
  const { uid, gid, groups } = identity;
  return [
    RELAY,
    `socket=${RELAY_FDS.socket}`,
    `request=${RELAY_FDS.request}`,
    `start=${RELAY_FDS.start}`,
    ...(filtered ? [`filter=${RELAY_FDS.filter}`] : []),
    `uid=${uid}`,
    `gid=${gid}`,
    ...groups.map((group) => `group=${group}`),
    ...(terminal ? ["terminal"] : []),
    ...(handed ? ["handed"] : []),
  ];
}

/**
 * What a guest's agent reads of a further process: `/urunc/process`, and a record for each argument and each
 * variable (parse_request() in lib/build/guest_init/exec.c).
 */
export function describeProcess(process: Process): Uint8Array<ArrayBuffer> {
  const records = [
    ...process.args.map((arg) => `arg=${arg}`),
    ...process.env.map((entry) => `env=${entry}`),
  ];
  const file = processFile(furtherProcess(process));
  const strings = new TextEncoder().encode(records.map((record) => `${record}\0`).join(""));
  const bytes = new Uint8Array(file.length + strings.length);
  bytes.set(file);
  bytes.set(strings, file.length);
  return bytes;
}

/** What an agent gets in the place of a process whose output is the list of all that there are. */
export function describeList(): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode("list-processes\0");
}
