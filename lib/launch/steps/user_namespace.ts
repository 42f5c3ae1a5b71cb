import {
  chdir,
  close,
  fchdir,
  O_CLOEXEC,
  O_RDONLY,
  open,
  read,
  SOCK_STREAM,
  socketpair,
  spawn,
  waitpid,
} from "../../../ffi/linux.ts";
import { idMapText } from "../../host/id_maps.ts";
import { USER_NAMESPACE } from "../../plan/user_namespace.ts";
import type { StepHandlers } from "../context.ts";
import { PROGRAM } from "../programs.ts";

/** The program's name for a process that makes a user namespace: lib/build/waiter/waiter.c. */
const MAKER = "urunc-user";

/** Longer than a pid, or an error. Bytes. */
const ANSWER_BYTES = 512;

/**
 * The monitor's user namespace, which the monitor's process enters (`monitor.ts`). A process of several
 * threads, as this one is, can neither make one nor enter one (unshare(2), setns(2)).
 */
export const USER_NAMESPACE_STEPS: StepHandlers<"makeUserNamespace" | "openUserNamespace"> = {
  makeUserNamespace({ uidMappings, gidMappings }, context) {
    const [ours, theirs] = socketpair(SOCK_STREAM);
    // By a relative path: the directory has no other.
    fchdir(context.programs!);
    const child = spawn({
      path: PROGRAM,
      argv: [MAKER],
      env: [],
      fds: [0, 1, 2].map((to) => ({ from: theirs, to })),
    });
    chdir("/");
    close(theirs);
    try {
      const directory = `/proc/${pidFrom(ours)}`;
      // Nothing in it may change groups; it must be written first.
      Deno.writeTextFileSync(`${directory}/setgroups`, "deny");
      Deno.writeTextFileSync(`${directory}/gid_map`, idMapText(gidMappings));
      Deno.writeTextFileSync(`${directory}/uid_map`, idMapText(uidMappings));
      const fd = open(`${directory}/ns/user`, O_RDONLY | O_CLOEXEC);
      context.opened.set(USER_NAMESPACE, fd);
    } finally {
      // It exits then. Until it is waited for, its pid is no other process's.
      close(ours);
      waitpid(child, 0);
    }
  },

  openUserNamespace({ path }, context) {
    context.opened.set(USER_NAMESPACE, open(path, O_RDONLY | O_CLOEXEC));
  },
};

/** The pid that /proc has the maker by, which is not the one of this PID namespace. */
function pidFrom(connection: number): number {
  const answer = new Uint8Array(ANSWER_BYTES);
  const text = new TextDecoder().decode(answer.subarray(0, read(connection, answer)));
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new Error(text === "" ? "the process that makes it ended" : text);
}
