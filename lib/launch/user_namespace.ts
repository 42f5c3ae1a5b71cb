import {
  close,
  fchdir,
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
  O_RDONLY,
  open,
  read,
  SOCK_STREAM,
  socketpair,
  spawn,
  waitpid,
} from "../../ffi/linux.ts";
import { idMapText } from "../host/id_maps.ts";
import type { IdMaps } from "../oci/types.ts";
import { PROGRAM } from "./programs.ts";

/** The program's name for a process that makes a user namespace: lib/build/waiter/waiter.c. */
const MAKER = "urunc-user";

/** Longer than a pid, or an error. Bytes. */
const ANSWER_BYTES = 512;

/**
 * Makes a user namespace that nothing is in. A process of several threads, as this one is, cannot unshare
 * one: a program does it.
 *
 * @param programs of `makePrograms`
 * @param setsGroups whether processes in it may change their groups
 * @returns a descriptor of it
 * @throws LinuxError; Error with what the program says
 */
export function makeUserNamespace(
  programs: number,
  { uids, gids }: IdMaps,
  setsGroups = false,
): number {
  const [ours, child] = startMaker(programs);
  try {
    const directory = `/proc/${pidFrom(ours)}`;
    // The first: it may not be written any more when gid_map was (user_namespaces(7)).
    if (!setsGroups) Deno.writeTextFileSync(`${directory}/setgroups`, "deny");
    Deno.writeTextFileSync(`${directory}/gid_map`, idMapText(gids));
    Deno.writeTextFileSync(`${directory}/uid_map`, idMapText(uids));
    return open(`${directory}/ns/user`, O_RDONLY | O_CLOEXEC);
  } finally {
    // It exits then. Until it is waited for, its pid is no other process's.
    close(ours);
    waitpid(child, 0);
  }
}

/** By a relative path: the directory has no other. */
function startMaker(programs: number): [connection: number, pid: number] {
  const [ours, theirs] = socketpair(SOCK_STREAM);
  const before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  try {
    fchdir(programs);
    const fds = [0, 1, 2].map((to) => ({ from: theirs, to }));
    return [ours, spawn({ path: PROGRAM, argv: [MAKER], env: [], fds })];
  } finally {
    fchdir(before);
    close(before);
    close(theirs);
  }
}

/** The pid that /proc has the maker by, which is not the one of this PID namespace. */
function pidFrom(connection: number): number {
  const answer = new Uint8Array(ANSWER_BYTES);
  const text = new TextDecoder().decode(answer.subarray(0, read(connection, answer)));
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new Error(text === "" ? "the process that makes it ended" : text);
}
